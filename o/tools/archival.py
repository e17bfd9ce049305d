"""The built-in tool that keeps a text in the agent's archive."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import from_json

from o.domain.archives import MAX_TAG_CHARS, MAX_TAGS, MAX_TEXT_CHARS
from o.domain.llm import ToolSpec
from o.errors import ToolFailed
from o.tools.tool import Arguments, BuiltIn, Caller, Tool, schema, string

_INSERT = ToolSpec(
    name="archival_memory_insert",
    description="Keep a fact, event or finding for good, outside of the context: it is found again "
    "by archival_memory_search, by its words and its meaning. Write it so that it can be "
    "understood by itself.",
    parameters=schema(
        {
            "content": string("What is to be kept, whole sentences."),
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Words to sort it by, for searches.",
            },
        },
        ["content"],
    ),
)


def _listed(tags: object) -> object:
    """Models send lists as text now and then: one tag, several with commas, or JSON."""
    if not isinstance(tags, str):
        return tags
    try:
        read = from_json(tags)  # which ends at a depth; Python's own runs out of stack
    except ValueError:
        read = tags.split(",")
    return read if isinstance(read, list) else [tags]


class InsertArguments(Arguments):
    """Arguments of `archival_memory_insert`."""

    content: str
    tags: Annotated[list[str] | None, BeforeValidator(_listed)] = None


async def _insert(caller: Caller, arguments: InsertArguments) -> str:
    """V1 shows the return of this tool as `None`."""
    tags = [tag.strip() for tag in arguments.tags or ()]
    tags = list(dict.fromkeys(filter(None, tags)))
    if not arguments.content.strip():
        raise ToolFailed("There is nothing to keep: content is empty.")
    if len(arguments.content) > MAX_TEXT_CHARS:
        raise ToolFailed(
            f"A passage holds {MAX_TEXT_CHARS} characters at most, and this one has "
            f"{len(arguments.content)}. Nothing was kept: keep it in parts."
        )
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARS for tag in tags):
        raise ToolFailed(
            f"A passage has {MAX_TAGS} tags at most, of {MAX_TAG_CHARS} characters at most. "
            "Nothing was kept."
        )
    await caller.memory.add_passage(arguments.content, tags)
    return "None"


ARCHIVAL_TOOLS: tuple[Tool, ...] = (BuiltIn(_INSERT, InsertArguments, _insert),)
