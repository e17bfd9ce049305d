"""The tool `memory`: one command a call, on blocks that are named by paths."""

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.blocks import (
    block_to_edit,
    create_block,
    delete_block,
    describe_block,
    rename_block,
    store_value,
)
from activities.built_in import Arguments
from o.domain.agents import Agent
from o.errors import ToolFailed
from o.memory import edits

_FOLDER = "/memories"
_RECOMPILED = "Your system prompt has been recompiled: the next turn begins with it."


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


async def memory(connection: AsyncConnection, agent: Agent, arguments: MemoryArguments) -> str:
    """Carry out one command; edits return the block's new value, the others say what was done."""
    match arguments.command:
        case "create":
            return await _create(connection, agent, arguments)
        case "str_replace":
            return await _replace(connection, agent, arguments)
        case "insert":
            return await _insert(connection, agent, arguments)
        case "delete":
            label = _label(arguments.path, "path")
            await delete_block(connection, agent, label)
            return f"Successfully deleted memory block '{label}'. {_RECOMPILED}"
        case "rename":
            return await _rename(connection, agent, arguments)


async def _create(connection: AsyncConnection, agent: Agent, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    value = edits.rethink(arguments.file_text or "")
    await create_block(connection, agent, label, value, arguments.description or "")
    return f"Successfully created memory block '{label}'. {_RECOMPILED}"


async def _replace(connection: AsyncConnection, agent: Agent, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    old = _given(arguments.old_string, "old_string")
    block = await block_to_edit(connection, agent, label)
    value = edits.replace(block.value, old, arguments.new_string or "")
    return await store_value(connection, agent, block, value)


async def _insert(connection: AsyncConnection, agent: Agent, arguments: MemoryArguments) -> str:
    label = _label(arguments.path, "path")
    text = _given(arguments.insert_text, "insert_text")
    line = -1 if arguments.insert_line is None else arguments.insert_line
    block = await block_to_edit(connection, agent, label)
    return await store_value(connection, agent, block, edits.insert(block.value, text, line))


async def _rename(connection: AsyncConnection, agent: Agent, arguments: MemoryArguments) -> str:
    """A new label, or with `path` and `description` a new description."""
    if arguments.path is not None and arguments.description is not None:
        label = _label(arguments.path, "path")
        await describe_block(connection, agent, label, arguments.description)
        return f"Successfully updated description of memory block '{label}'. {_RECOMPILED}"
    old, new = _label(arguments.old_path, "old_path"), _label(arguments.new_path, "new_path")
    await rename_block(connection, agent, old, new)
    return f"Successfully renamed memory block '{old}' to '{new}'. {_RECOMPILED}"


def _label(path: str | None, name: str) -> str:
    """The label that a path such as `/memories/human` names; deeper paths are labels with '/'."""
    text = _given(path, name)
    label = text.removeprefix(_FOLDER).strip("/")
    if not label:
        raise ToolFailed(f"{name} must be {_FOLDER}/<label>, but is {text!r}.")
    return label


def _given(value: str | None, name: str) -> str:
    if value is None:
        raise ToolFailed(f"This command needs the argument {name}. Nothing was done.")
    return value
