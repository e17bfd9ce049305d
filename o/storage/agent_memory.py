"""An agent's memory as its tools use it: blocks to edit, messages to search."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.blocks import MAX_VALUE_CHARS, Block, label_fault
from o.domain.messages import Message, Role
from o.errors import Conflict, NotFound, ToolFailed
from o.ids import new_id
from o.storage.agent_blocks import attach_blocks, detach_block, get_agent_block
from o.storage.blocks import add_blocks, change_block
from o.storage.messages import search_messages
from o.storage.thread_blocks import SeenBlock, lock_seen_block, lock_seen_blocks
from o.tools.tool import BlockMissing


class AgentMemory:
    """`o.tools.tool.Memory` in PostgreSQL. The caller's transaction commits what it changes."""

    def __init__(self, connection: AsyncConnection, agent: Agent) -> None:
        self._connection = connection
        self._agent = agent
        self._owner = Actor(organization_id=agent.organization_id)

    async def block(self, label: str) -> Block:
        """The block as the agent sees it where it acts, locked until the transaction ends."""
        return (await self._seen_block(label)).block

    async def hold(self, labels: Iterable[str]) -> None:
        """Lock blocks by id, as everybody does (`o.storage.locks`)."""
        await lock_seen_blocks(self._connection, self._agent, labels)

    async def set_value(self, block: Block, value: str) -> str:
        """Give a locked block a new value."""
        _check_size(value)
        await self._change(block, {"value": value})
        return value

    async def create_block(self, label: str, value: str, description: str = "") -> Block:
        """A new block of the agent's organisation, attached behind the others."""
        _check_label(label)
        try:
            await get_agent_block(self._connection, self._owner, self._agent.id, label)
        except NotFound:
            pass
        else:
            raise ToolFailed(f"There is a memory block with the label {label!r} already.")
        _check_size(value)
        now = datetime.now(UTC)
        block = Block(
            id=new_id("block"),
            organization_id=self._agent.organization_id,
            label=label,
            value=value,
            description=description or None,
            changed_by=self._agent.id,
            created_at=now,
            updated_at=now,
        )
        await add_blocks(self._connection, [block])
        await attach_blocks(self._connection, self._agent.id, [block])
        return block

    async def delete_block(self, label: str) -> None:
        """Detach a block."""
        block = await self._shared_block(label)
        await detach_block(self._connection, self._agent.id, block.id)

    async def rename_block(self, label: str, new: str) -> None:
        """Give a block another label."""
        _check_label(new)
        block = await self._shared_block(label)
        try:
            async with self._connection.begin_nested():
                await self._change(block, {"label": new})
        except Conflict:
            raise ToolFailed(f"There is a memory block with the label {new!r} already.") from None

    async def describe_block(self, label: str, description: str) -> None:
        """Say anew what a block is for."""
        await self._change(await self.block(label), {"description": description})

    def all_or_nothing(self) -> AbstractAsyncContextManager[Any]:
        """A savepoint."""
        return self._connection.begin_nested()

    async def search_messages(
        self,
        *,
        query: str | None,
        roles: Sequence[Role],
        since: datetime | None,
        until: datetime | None,
        limit: int,
    ) -> list[Message]:
        """The newest messages of all the agent's conversations whose text holds `query`."""
        return await search_messages(
            self._connection,
            self._agent.id,
            query=query,
            roles=roles,
            since=since,
            until=until,
            limit=limit,
        )

    async def _seen_block(self, label: str) -> SeenBlock:
        try:
            seen = await lock_seen_block(self._connection, self._agent, label)
        except NotFound:
            raise BlockMissing(f"There is no memory block with the label {label!r}.") from None
        if seen.block.read_only:
            raise ToolFailed("Error This block is read-only and cannot be edited.")
        return seen

    async def _shared_block(self, label: str) -> Block:
        """A block that stands in all the agent's conversations; a copy for one keeps its label."""
        seen = await self._seen_block(label)
        if seen.is_isolated:
            raise ToolFailed(
                f"The memory block {label!r} belongs to this conversation alone: its value can be "
                "changed, but it cannot be renamed or deleted."
            )
        return seen.block

    async def _change(self, block: Block, changes: dict[str, str]) -> None:
        """Change a locked block; its history says which agent did."""
        await change_block(
            self._connection, self._owner, block.id, changes, changed_by=self._agent.id
        )


def _check_label(label: str) -> None:
    if (fault := label_fault(label)) is not None:
        raise ToolFailed(fault)


def _check_size(value: str) -> None:
    if len(value) > MAX_VALUE_CHARS:
        raise ToolFailed(
            f"A memory block holds {MAX_VALUE_CHARS} characters at most, and this one would have "
            f"{len(value)}. Nothing was changed: shorten it first."
        )
