"""A tool that a model writes: what it is asked for, and what it has written."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from o.domain.json_bounds import parse_json
from o.domain.llm import ModelReply, ModelRequest, ToolSpec
from o.domain.text import storable_json
from o.errors import InvalidArgument
from o.tools.schema import MAX_NAME_CHARS

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CALL = "write_tool"
_TASK = """\
You write tools for AI agents. A tool is one Python function that an agent's model calls by name.
Write the function that is asked for, and hand it in by calling write_tool once.

- The source has the function {name} at its top level, and it is the last function there. Other
  functions that it needs stand before it, with names that begin with an underscore.
- Every parameter has a type annotation (str, int, float, bool, list, dict, Optional and the like)
  and no *args or **kwargs.
- The docstring says what the tool does and what it returns, for the model that calls it. Under
  "Args:" it describes every parameter, each on a line `name: description` (Google style).
- Imports stand inside of the function. Beside the standard library it has what pip_requirements
  names.
- It returns text or JSON values, prints nothing, asks nobody for input, and raises an exception
  with a plain sentence where it fails.
- Keys and secrets come from environment variables (os.getenv), never from the source."""
_SPEC = ToolSpec(
    name=_CALL,
    description="Hands in the tool that you have written.",
    parameters={
        "type": "object",
        "properties": {
            "source_code": {"type": "string", "description": "The whole Python source."},
            "sample_args_json": {
                "type": "string",
                "description": "Arguments of a good example call, as a JSON object by their names.",
            },
            "pip_requirements": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Packages that it needs, such as 'requests'; often none.",
            },
            "explanation": {
                "type": "string",
                "description": "In a few sentences, what you have written and how to use it.",
            },
        },
        "required": ["source_code", "sample_args_json", "pip_requirements", "explanation"],
    },
)


@dataclass(frozen=True)
class Wanted:
    """A tool that is to be written.

    Attributes:
        name: Of the function.
        prompt: What it is to do.
        source: What there is of it; empty for nothing.
        faults: What is wrong with that.
    """

    name: str
    prompt: str
    source: str = ""
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Written:
    """What a model handed in; nothing of it has been judged.

    Attributes:
        source: Python, as far as the model knows it.
        sample_args: By name; empty where they cannot be read.
        requirements: V1's `PipRequirement`s.
        explanation: For a person.
    """

    source: str
    sample_args: dict[str, Any]
    requirements: list[dict[str, Any]]
    explanation: str


def check_function_name(name: str) -> None:
    """See that a Python function may have it.

    Raises:
        InvalidArgument: It may not, or models could not call it by that.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > MAX_NAME_CHARS:
        raise InvalidArgument(
            f"INVALID_ARGUMENT: tool_name {name[:80]!r} is no name of a Python function: it has 1 "
            f"to {MAX_NAME_CHARS} of A-Z a-z 0-9 _, begins with a letter, and is no word of Python"
        )


def writing_request(handle: str, wanted: Wanted, *, window: int) -> ModelRequest:
    """What the model is asked that writes a tool, and that reads `window` tokens."""
    parts = [f"Write the tool {wanted.name}.\n\n{wanted.prompt}"]
    if wanted.source:
        parts.append(f"Change this source:\n\n```python\n{wanted.source}\n```")
    if wanted.faults:
        faults = "\n".join(f"- {fault}" for fault in wanted.faults)
        parts.append(f"It could not be used, for this reason:\n{faults}")
    return ModelRequest(
        handle=handle,
        prompt=[
            {"role": "system", "content": _TASK.format(name=wanted.name)},
            {"role": "user", "content": "\n\n".join(parts)},
        ],
        tools=[_SPEC],
        tool_choice="required",
        context_window=window,
    )


def read_written(reply: ModelReply) -> Written:
    """What of a reply is the tool.

    Raises:
        InvalidArgument: It holds none, and why.
    """
    call = next((call for call in reply.tool_calls if call.name == _CALL), None)
    if call is None:
        raise InvalidArgument(f"{_CALL} was not called")
    try:
        given = storable_json(parse_json(call.arguments))
    except (ValueError, RecursionError):
        raise InvalidArgument(f"the arguments of {_CALL} are no JSON") from None
    source = given.get("source_code") if isinstance(given, dict) else None
    if not isinstance(source, str) or not source.strip():
        raise InvalidArgument(f"{_CALL} was called without source_code")
    explanation = given.get("explanation")
    return Written(
        source=_without_fence(source),
        sample_args=_object(given.get("sample_args_json")),
        requirements=_requirements(given.get("pip_requirements")),
        explanation=explanation if isinstance(explanation, str) else reply.text,
    )


def _without_fence(source: str) -> str:
    """Some put a block of Markdown around it."""
    found = re.fullmatch(r"\s*```(?:python|py)?[ \t]*\n(.*?)\n?```\s*", source, re.DOTALL)
    return (found[1] if found else source).strip() + "\n"


def _object(given: Any) -> dict[str, Any]:
    """A JSON object, which some write as such and others as text; empty for anything else."""
    if isinstance(given, str):
        try:
            given = storable_json(parse_json(given))
        except (ValueError, RecursionError):
            return {}
    return given if isinstance(given, dict) else {}


def _requirements(given: Any) -> list[dict[str, Any]]:
    named = given if isinstance(given, list) else []
    return [{"name": one} for one in named if isinstance(one, str) and one.strip()]
