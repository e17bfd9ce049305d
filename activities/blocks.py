"""What the memory tools do to an agent's blocks. The caller's transaction commits it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.blocks import Block
from o.errors import Conflict, NotFound, ToolFailed
from o.ids import new_id
from o.storage.agent_blocks import attach_blocks, detach_block, get_agent_block
from o.storage.blocks import add_blocks, change_block
from o.storage.thread_blocks import SeenBlock, lock_seen_block

_MAX_LABEL_CHARS = 200


class BlockMissing(ToolFailed):
    """The agent has no block by that label."""


async def block_to_edit(connection: AsyncConnection, agent: Agent, label: str) -> Block:
    """The block as the agent sees it where it acts, locked until the transaction ends.

    Raises:
        BlockMissing: There is none by that label.
        ToolFailed: It is read-only, in V1's words.
    """
    return (await _seen_block(connection, agent, label)).block


async def store_value(connection: AsyncConnection, agent: Agent, block: Block, value: str) -> str:
    """Give a locked block a new value, and so a new version; returns the value."""
    await _change(connection, agent, block, {"value": value})
    return value


async def create_block(
    connection: AsyncConnection, agent: Agent, label: str, value: str, description: str = ""
) -> Block:
    """A new block of the agent's organisation, attached behind the others.

    Raises:
        ToolFailed: The label cannot be used, or is taken.
    """
    _check_label(label)
    try:
        await get_agent_block(connection, _owner(agent), agent.id, label)
    except NotFound:
        pass
    else:
        raise ToolFailed(f"There is a memory block with the label {label!r} already.")
    now = datetime.now(UTC)
    block = Block(
        id=new_id("block"),
        organization_id=agent.organization_id,
        label=label,
        value=value,
        description=description or None,
        changed_by=agent.id,
        created_at=now,
        updated_at=now,
    )
    await add_blocks(connection, [block])
    await attach_blocks(connection, agent.id, [block])
    return block


async def delete_block(connection: AsyncConnection, agent: Agent, label: str) -> None:
    """Take a block away from the agent. The block itself stays, with its history.

    Raises:
        ToolFailed: The conversation has the block to itself.
    """
    block = await _shared_block(connection, agent, label)
    await detach_block(connection, agent.id, block.id)


async def rename_block(connection: AsyncConnection, agent: Agent, label: str, new: str) -> None:
    """Give a block another label, for every agent that has it.

    Raises:
        ToolFailed: The label cannot be used, or is taken at one of them, or the conversation has
            the block to itself.
    """
    _check_label(new)
    block = await _shared_block(connection, agent, label)
    try:
        async with connection.begin_nested():
            await _change(connection, agent, block, {"label": new})
    except Conflict:
        raise ToolFailed(f"There is a memory block with the label {new!r} already.") from None


async def describe_block(
    connection: AsyncConnection, agent: Agent, label: str, description: str
) -> None:
    """Say anew what a block is for."""
    block = await block_to_edit(connection, agent, label)
    await _change(connection, agent, block, {"description": description})


async def _seen_block(connection: AsyncConnection, agent: Agent, label: str) -> SeenBlock:
    try:
        seen = await lock_seen_block(connection, agent, label)
    except NotFound:
        raise BlockMissing(f"There is no memory block with the label {label!r}.") from None
    if seen.block.read_only:
        raise ToolFailed("Error This block is read-only and cannot be edited.")
    return seen


async def _shared_block(connection: AsyncConnection, agent: Agent, label: str) -> Block:
    """A block that stands in the agent's other conversations too; a copy for one keeps its label.

    Raises:
        ToolFailed: The conversation has the block to itself.
    """
    seen = await _seen_block(connection, agent, label)
    if seen.is_isolated:
        raise ToolFailed(
            f"The memory block {label!r} belongs to this conversation alone: its value can be "
            "changed, but it cannot be renamed or deleted."
        )
    return seen.block


async def _change(
    connection: AsyncConnection, agent: Agent, block: Block, changes: dict[str, str]
) -> None:
    """Change a locked block; its history says which agent did."""
    await change_block(connection, _owner(agent), block.id, changes, changed_by=agent.id)


def _check_label(label: str) -> None:
    if not label or len(label) > _MAX_LABEL_CHARS:
        raise ToolFailed(f"A label has 1 to {_MAX_LABEL_CHARS} characters.")


def _owner(agent: Agent) -> Actor:
    return Actor(organization_id=agent.organization_id)
