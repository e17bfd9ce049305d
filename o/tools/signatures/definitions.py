"""What a tool's source defines at its top level: functions, classes and names for types."""

import ast
from dataclasses import dataclass, field

MAX_NUMBER = 2**63
"""Readers of JSON take no more; infinity, as `1e999` says it, is none of its numbers."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Definitions:
    """By name; a later definition takes the place of an earlier one, as when the source runs.

    Attributes:
        functions: In the order of the source.
        aliases: Names that stand for an expression, such as `Numbers = list[int]`.
    """

    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def last_function(self) -> Function | None:
        """The tool of a source that names none: the last public function, else the last one."""
        public = [name for name in self.functions if not name.startswith("_")]
        return self.functions[(public or list(self.functions))[-1]] if self.functions else None


def definitions(module: ast.Module) -> Definitions:
    """Collect them."""
    found = Definitions()
    for statement in module.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.functions.pop(statement.name, None)  # where it stands last counts
                found.functions[statement.name] = statement
            case ast.ClassDef():
                found.classes[statement.name] = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.aliases[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.aliases[name] = value
    return found


def last_name(node: ast.expr) -> str | None:
    """`List` of `List` and of `typing.List`; None for what is no name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(), attr=name):
            return name
    return None


def literal(node: ast.expr | None) -> str | int | float | bool | None:
    """A plain constant, negative numbers too; None for all else, and what JSON cannot hold."""
    match node:
        case ast.Constant(value=str() | bool() as value):
            return value
        case ast.Constant(value=int() | float() as number) if abs(number) < MAX_NUMBER:
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number if abs(number) < MAX_NUMBER else None
    return None


def is_none(node: ast.expr) -> bool:
    """Whether it says None, as a value or as a type."""
    match node:
        case ast.Constant(value=None) | ast.Name(id="NoneType"):
            return True
    return False
