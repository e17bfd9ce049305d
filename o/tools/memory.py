"""The built-in tools that edit core memory. Each returns the block's new value, as V1 does."""

from typing import Any

from o.domain.llm import ToolSpec
from o.memory import edits
from o.memory.patch import Section, apply_hunks, sections_of
from o.tools.tool import (
    Arguments,
    BlockMissing,
    BuiltIn,
    Caller,
    Memory,
    Tool,
    integer,
    schema,
    string,
)

_LABEL = string("Label of the memory block, as the system prompt shows it.")


def _spec(name: str, description: str, properties: dict[str, Any], required: list[str]) -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters=schema(properties, required))


_INSERT = _spec(
    "memory_insert",
    "Insert text into a memory block, on a line of its own.",
    {
        "label": _LABEL,
        "new_string": string("The text to insert."),
        "insert_line": integer(
            "Line after which the text goes: 0 is the top, -1 the end.", default=-1
        ),
    },
    ["label", "new_string"],
)

_REPLACE = _spec(
    "memory_replace",
    "Replace one passage of a memory block. To delete it, replace it with an empty string.",
    {
        "label": _LABEL,
        "old_string": string("The text to replace, exactly as it stands; it must occur once."),
        "new_string": string("What stands there afterwards."),
    },
    ["label", "old_string", "new_string"],
)

_RETHINK = _spec(
    "memory_rethink",
    "Write a memory block anew, for changes that are too many for single edits. "
    "A block that does not exist is created.",
    {"label": _LABEL, "new_memory": string("The whole new value of the block.")},
    ["label", "new_memory"],
)

_FINISH = _spec(
    "memory_finish_edits",
    "Say that memory is as it should be. Call it once, when no edit is left to make.",
    {},
    [],
)

_APPEND = _spec(
    "core_memory_append",
    "Add a line to the end of a memory block.",
    {"label": _LABEL, "content": string("The text to add.")},
    ["label", "content"],
)

_CORE_REPLACE = _spec(
    "core_memory_replace",
    "Replace text in a memory block wherever it stands. To delete it, replace it with an empty "
    "string.",
    {
        "label": _LABEL,
        "old_content": string("The text to replace, exactly as it stands."),
        "new_content": string("What stands there afterwards."),
    },
    ["label", "old_content", "new_content"],
)

_PATCH = _spec(
    "memory_apply_patch",
    "Change memory blocks by a patch. For one block, give its label and hunks in the unified "
    "format: lines that start with a space stay, with '-' go, with '+' come, and '@@' parts the "
    "hunks. For several blocks, the patch holds sections that start with '*** Add Block: <label>', "
    "'*** Delete Block: <label>' or '*** Update Block: <label>'; below the last, "
    "'*** Move to: <label>' renames the block.",
    {"label": _LABEL, "patch": string("The patch.")},
    ["label", "patch"],
)


class InsertArguments(Arguments):
    """Arguments of `memory_insert`."""

    label: str
    new_string: str
    insert_line: int = -1


class ReplaceArguments(Arguments):
    """Arguments of `memory_replace`."""

    label: str
    old_string: str
    new_string: str


class RethinkArguments(Arguments):
    """Arguments of `memory_rethink`."""

    label: str
    new_memory: str


class NoArguments(Arguments):
    """Arguments of `memory_finish_edits`: none."""


class AppendArguments(Arguments):
    """Arguments of `core_memory_append`."""

    label: str
    content: str


class CoreReplaceArguments(Arguments):
    """Arguments of `core_memory_replace`."""

    label: str
    old_content: str
    new_content: str


class PatchArguments(Arguments):
    """Arguments of `memory_apply_patch`."""

    label: str
    patch: str


async def _insert(caller: Caller, arguments: InsertArguments) -> str:
    block = await caller.memory.block(arguments.label)
    value = edits.insert(block.value, arguments.new_string, arguments.insert_line)
    return await caller.memory.set_value(block, value)


async def _replace(caller: Caller, arguments: ReplaceArguments) -> str:
    block = await caller.memory.block(arguments.label)
    value = edits.replace(block.value, arguments.old_string, arguments.new_string)
    return await caller.memory.set_value(block, value)


async def _rethink(caller: Caller, arguments: RethinkArguments) -> str:
    """A block that does not exist is created and attached."""
    value = edits.rethink(arguments.new_memory)
    try:
        block = await caller.memory.block(arguments.label)
    except BlockMissing:
        return (await caller.memory.create_block(arguments.label, value)).value
    return await caller.memory.set_value(block, value)


async def _finish(caller: Caller, arguments: NoArguments) -> str:
    """V1 shows the return of this tool as `None`."""
    return "None"


async def _append(caller: Caller, arguments: AppendArguments) -> str:
    block = await caller.memory.block(arguments.label)
    return await caller.memory.set_value(block, edits.append(block.value, arguments.content))


async def _replace_all(caller: Caller, arguments: CoreReplaceArguments) -> str:
    block = await caller.memory.block(arguments.label)
    value = edits.replace_all(block.value, arguments.old_content, arguments.new_content)
    return await caller.memory.set_value(block, value)


async def _patch(caller: Caller, arguments: PatchArguments) -> str:
    """Apply a patch whole or not at all; of several blocks it tells what became of each."""
    sections = sections_of(arguments.label, arguments.patch)
    await caller.memory.hold(section.label for section in sections)
    async with caller.memory.all_or_nothing():
        results = [await _apply(caller.memory, section) for section in sections]
    return "\n\n".join(results)


async def _apply(memory: Memory, section: Section) -> str:
    if section.kind == "add":
        block = await memory.create_block(section.label, section.added_value)
        return f"Created memory block '{block.label}':\n{block.value}"
    if section.kind == "delete":
        await memory.delete_block(section.label)
        return f"Deleted memory block '{section.label}'."
    block = await memory.block(section.label)
    value = block.value
    if section.lines or section.move_to is None:
        value = apply_hunks(value, section.lines)
        await memory.set_value(block, value)
    if section.move_to is not None:
        await memory.rename_block(section.label, section.move_to)
    return value


BLOCK_TOOLS: tuple[Tool, ...] = (
    BuiltIn(_INSERT, InsertArguments, _insert),
    BuiltIn(_REPLACE, ReplaceArguments, _replace),
    BuiltIn(_RETHINK, RethinkArguments, _rethink),
    BuiltIn(_FINISH, NoArguments, _finish),
    BuiltIn(_APPEND, AppendArguments, _append),
    BuiltIn(_CORE_REPLACE, CoreReplaceArguments, _replace_all),
    BuiltIn(_PATCH, PatchArguments, _patch),
)
