"""The built-in tools that edit core memory. Each returns the block's new value, as V1 does."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.blocks import (
    BlockMissing,
    block_to_edit,
    create_block,
    delete_block,
    rename_block,
    store_value,
)
from activities.built_in import Arguments, BuiltIn
from activities.memory_command import MemoryArguments, memory
from o.domain.agents import Agent
from o.memory import edits
from o.memory.patch import Section, apply_hunks, sections_of


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


async def memory_insert(
    connection: AsyncConnection, agent: Agent, arguments: InsertArguments
) -> str:
    """Insert text into a block."""
    block = await block_to_edit(connection, agent, arguments.label)
    value = edits.insert(block.value, arguments.new_string, arguments.insert_line)
    return await store_value(connection, agent, block, value)


async def memory_replace(
    connection: AsyncConnection, agent: Agent, arguments: ReplaceArguments
) -> str:
    """Replace text that occurs once in a block."""
    block = await block_to_edit(connection, agent, arguments.label)
    value = edits.replace(block.value, arguments.old_string, arguments.new_string)
    return await store_value(connection, agent, block, value)


async def memory_rethink(
    connection: AsyncConnection, agent: Agent, arguments: RethinkArguments
) -> str:
    """Write a block anew; one that does not exist is created and attached."""
    value = edits.rethink(arguments.new_memory)
    try:
        block = await block_to_edit(connection, agent, arguments.label)
    except BlockMissing:
        return (await create_block(connection, agent, arguments.label, value)).value
    return await store_value(connection, agent, block, value)


async def memory_finish_edits(
    connection: AsyncConnection, agent: Agent, arguments: NoArguments
) -> str:
    """Say that memory is as it should be; V1 shows the return of this tool as `None`."""
    return "None"


async def core_memory_append(
    connection: AsyncConnection, agent: Agent, arguments: AppendArguments
) -> str:
    """Add a line to the end of a block."""
    block = await block_to_edit(connection, agent, arguments.label)
    value = edits.append(block.value, arguments.content)
    return await store_value(connection, agent, block, value)


async def core_memory_replace(
    connection: AsyncConnection, agent: Agent, arguments: CoreReplaceArguments
) -> str:
    """Replace text in a block wherever it stands."""
    block = await block_to_edit(connection, agent, arguments.label)
    value = edits.replace_all(block.value, arguments.old_content, arguments.new_content)
    return await store_value(connection, agent, block, value)


async def memory_apply_patch(
    connection: AsyncConnection, agent: Agent, arguments: PatchArguments
) -> str:
    """Apply a patch whole or not at all; of several blocks it tells what became of each."""
    sections = sections_of(arguments.label, arguments.patch)
    async with connection.begin_nested():  # a section that fails takes back those before it
        results = [await _apply(connection, agent, section) for section in sections]
    return "\n\n".join(results)


async def _apply(connection: AsyncConnection, agent: Agent, section: Section) -> str:
    if section.kind == "add":
        block = await create_block(connection, agent, section.label, section.added_value)
        return f"Created memory block '{block.label}':\n{block.value}"
    if section.kind == "delete":
        await delete_block(connection, agent, section.label)
        return f"Deleted memory block '{section.label}'."
    block = await block_to_edit(connection, agent, section.label)
    value = block.value
    if section.lines or section.move_to is None:
        value = apply_hunks(value, section.lines)
        await store_value(connection, agent, block, value)
    if section.move_to is not None:
        await rename_block(connection, agent, section.label, section.move_to)
    return value


MEMORY_TOOLS: dict[str, BuiltIn[Any]] = {
    "memory_insert": BuiltIn(InsertArguments, memory_insert),
    "memory_replace": BuiltIn(ReplaceArguments, memory_replace),
    "memory_rethink": BuiltIn(RethinkArguments, memory_rethink),
    "memory_finish_edits": BuiltIn(NoArguments, memory_finish_edits),
    "core_memory_append": BuiltIn(AppendArguments, core_memory_append),
    "core_memory_replace": BuiltIn(CoreReplaceArguments, core_memory_replace),
    "memory_apply_patch": BuiltIn(PatchArguments, memory_apply_patch),
    "memory": BuiltIn(MemoryArguments, memory),
}
