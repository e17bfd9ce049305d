"""The tool `memory`: one command a call, on blocks that are named by paths."""

from typing import Literal

from o.domain.llm import ToolSpec
from o.errors import ToolFailed
from o.memory import edits
from o.tools.tool import Arguments, BuiltIn, Caller, Tool, integer, schema, string

_FOLDER = "/memories"
_RECOMPILED = "Your system prompt has been recompiled: the next turn begins with it."


_SPEC = ToolSpec(
    name="memory",
    description="Create, change, rename or delete memory blocks. "
    "A block's path is /memories/<label>.",
    parameters=schema(
        {
            "command": {
                "type": "string",
                "enum": ["create", "str_replace", "insert", "delete", "rename"],
                "description": "What to do.",
            },
            "path": string("The block. For rename, only to give it a new description."),
            "file_text": string("create: the value of the new block."),
            "description": string("create, rename: what the block is for."),
            "old_string": string("str_replace: the text to replace; it must occur once."),
            "new_string": string("str_replace: what stands there afterwards."),
            "insert_line": integer(
                "insert: line after which the text goes; 0 is the top, -1 the end."
            ),
            "insert_text": string("insert: the text to insert."),
            "old_path": string("rename: the block's path now."),
            "new_path": string("rename: the block's path afterwards."),
        },
        ["command"],
    ),
)


class MemoryArguments(Arguments):
    """Arguments of `memory`; which are needed depends on the command."""

    command: Literal["create", "str_replace", "insert", "delete", "rename"]
    path: str | None = None
    file_text: str | None = None
    description: str | None = None
    old_string: str | None = None
    new_string: str | None = None
    insert_line: int | None = None
    insert_text: str | None = None
    old_path: str | None = None
    new_path: str | None = None


async def _memory(caller: Caller, arguments: MemoryArguments) -> str:
    """Carry out one command; edits return the block's new value, the others say what was done."""
    match arguments.command:
        case "create":
            return await _create(caller, arguments)
        case "str_replace":
            return await _replace(caller, arguments)
        case "insert":
            return await _insert(caller, arguments)
        case "delete":
            label = _label(arguments.path, "path")
            await caller.memory.delete_block(label)
            return f"Successfully deleted memory block '{label}'. {_RECOMPILED}"
        case "rename":
            return await _rename(caller, arguments)


async def _create(caller: Caller, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    value = edits.rethink(arguments.file_text or "")
    await caller.memory.create_block(label, value, arguments.description or "")
    return f"Successfully created memory block '{label}'. {_RECOMPILED}"


async def _replace(caller: Caller, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    old = _given(arguments.old_string, "old_string")
    block = await caller.memory.block(label)
    value = edits.replace(block.value, old, arguments.new_string or "")
    return await caller.memory.set_value(block, value)


async def _insert(caller: Caller, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    text = _given(arguments.insert_text, "insert_text")
    line = -1 if arguments.insert_line is None else arguments.insert_line
    block = await caller.memory.block(label)
    return await caller.memory.set_value(block, edits.insert(block.value, text, line))


async def _rename(caller: Caller, arguments: MemoryArguments) -> str:
    """A new label, or with `path` and `description` a new description."""
    if arguments.path is not None and arguments.description is not None:
        label = _label(arguments.path, "path")
        await caller.memory.describe_block(label, arguments.description)
        return f"Successfully updated description of memory block '{label}'. {_RECOMPILED}"
    old, new = _label(arguments.old_path, "old_path"), _label(arguments.new_path, "new_path")
    await caller.memory.rename_block(old, new)
    return f"Successfully renamed memory block '{old}' to '{new}'. {_RECOMPILED}"


MEMORY_COMMAND: Tool = BuiltIn(_SPEC, MemoryArguments, _memory)


def _label(path: str | None, name: str) -> str:
    """The label that a path such as `/memories/human` names; deeper paths are labels with '/'.

    Models leave out the first slash or the folder, and add a slash at the end.
    """
    text = _given(path, name)
    parts = text.strip().strip("/")
    label = "" if parts == "memories" else parts.removeprefix("memories/").strip("/")
    if not label:
        raise ToolFailed(f"{name} must be {_FOLDER}/<label>, but is {text!r}.")
    return label


def _given(value: str | None, name: str) -> str:
    if value is None:
        raise ToolFailed(f"This command needs the argument {name}. Nothing was done.")
    return value
