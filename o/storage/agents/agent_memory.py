"""An agent's memory as its tools use it: blocks to edit, archives to add to, files to open."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.archives import Archive, Passage, words_key
from o.domain.blocks import DEFAULT_LIMIT_CHARS, MAX_VALUE_CHARS, Block, label_fault, limit_fault
from o.domain.files.directories import FileRequest, OpenedFiles
from o.errors import Conflict, NotFound, ToolFailed
from o.ids import new_id
from o.storage.agents.agent_blocks import attach_blocks, detach_block
from o.storage.agents.blocks import add_blocks, change_block
from o.storage.agents.thread_blocks import SeenBlock, lock_seen_block, lock_seen_blocks
from o.storage.archives.agent_archives import own_archive
from o.storage.archives.passages import Arrival, add_passages
from o.storage.files.requests import open_requested
from o.tools.tool import BlockMissing


class AgentMemory:
    """`o.tools.tool.Memory` in PostgreSQL. The caller's transaction commits what it changes."""

    def __init__(
        self,
        connection: AsyncConnection,
        agent: Agent,
        *,
        tool: str,
        run_id: str | None = None,
        enforce_limit: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            connection: In a transaction.
            agent: Whose memory it is, as it acts in its conversation.
            tool: What edits it, for the history of blocks.
            run_id: The run in whose turn it does; None where the API runs it.
            enforce_limit: Whether the limits of blocks hold.
        """
        self._connection = connection
        self._agent = agent
        self._tool = tool
        self._run_id = run_id
        self._enforces_limit = enforce_limit
        self._owner = Actor(organization_id=agent.organization_id)
        self.filled: Archive | None = None
        """Where a passage was added: once that is committed, it can be embedded."""

    async def block(self, label: str) -> Block:
        """The block as the agent sees it where it acts, locked until the transaction ends."""
        return (await self._seen_block(label)).block

    async def hold(self, labels: Iterable[str]) -> None:
        """Lock blocks by id, as everybody does (`o.storage.locks`)."""
        await lock_seen_blocks(self._connection, self._agent, labels)

    async def set_value(self, block: Block, value: str) -> str:
        """Give a locked block a new value."""
        _check_size(value)
        self._check_limit(block.label, value, block.limit_chars, before=len(block.value))
        await self._change(block, {"value": value})
        return value

    async def create_block(self, label: str, value: str, description: str = "") -> Block:
        """A new block of the agent's organization, attached behind the others."""
        _check_label(label)
        _check_size(value)
        self._check_limit(label, value, DEFAULT_LIMIT_CHARS)
        now = datetime.now(UTC)
        block = Block(
            id=new_id("block"),
            organization_id=self._agent.organization_id,
            label=label,
            value=value,
            description=description or None,
            changed_by=self._agent.id,
            changed_via=self._tool,
            changed_in=self._run_id,
            created_at=now,
            updated_at=now,
        )
        try:
            async with self._connection.begin_nested():
                await add_blocks(self._connection, [block])
                await attach_blocks(self._connection, self._agent.id, [block])
        except Conflict:
            raise _taken(label) from None
        return block

    async def delete_block(self, label: str) -> None:
        """Detach a block."""
        block = await self._shared_block(label)
        try:
            await detach_block(self._connection, self._agent.id, block.id)
        except NotFound:  # somebody has just detached it
            raise _missing(label) from None

    async def rename_block(self, label: str, new: str) -> None:
        """Give a block another label."""
        _check_label(new)
        block = await self._shared_block(label)
        try:
            async with self._connection.begin_nested():
                await self._change(block, {"label": new})
        except Conflict:
            raise _taken(new) from None

    async def describe_block(self, label: str, description: str) -> None:
        """Say anew what a block is for."""
        await self._change(await self.block(label), {"description": description})

    def all_or_nothing(self) -> AbstractAsyncContextManager[Any]:
        """A savepoint."""
        return self._connection.begin_nested()

    async def add_passage(self, text: str, tags: Sequence[str]) -> None:
        """A new passage; that it is stored once is for the transaction to see to."""
        archive = await own_archive(self._connection, self._owner, self._agent)
        now = datetime.now(UTC)
        passage = Passage(
            id=new_id("passage"),
            organization_id=archive.organization_id,
            archive_id=archive.id,
            text=text,
            tags=list(tags),
            key=words_key(text),
            created_at=now,
            updated_at=now,
        )
        await add_passages(self._connection, self._owner, [passage], Arrival(now))
        self.filled = archive

    async def open_files(self, wanted: Sequence[FileRequest], *, close_others: bool) -> OpenedFiles:
        """Open files of the agent's folders; they are in its prompt once that is committed."""
        return await open_requested(
            self._connection, self._agent, wanted, close_others=close_others
        )

    async def _seen_block(self, label: str) -> SeenBlock:
        try:
            seen = await lock_seen_block(self._connection, self._agent, label)
        except NotFound:
            raise _missing(label) from None
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
            self._connection,
            self._owner,
            block.id,
            changes,
            changed_by=self._agent.id,
            via=self._tool,
            run_id=self._run_id,
        )

    def _check_limit(self, label: str, value: str, limit_chars: int, *, before: int = 0) -> None:
        if not self._enforces_limit:
            return
        if (fault := limit_fault(len(value), limit_chars, before=before)) is not None:
            raise ToolFailed(
                f"The memory block {label!r} was not changed: {fault}. Shorten it first, "
                "or put what is not needed in every prompt elsewhere."
            )


def _taken(label: str) -> ToolFailed:
    return ToolFailed(f"There is a memory block with the label {label!r} already.")


def _missing(label: str) -> BlockMissing:
    return BlockMissing(f"There is no memory block with the label {label!r}.")


def _check_label(label: str) -> None:
    if (fault := label_fault(label)) is not None:
        raise ToolFailed(fault)


def _check_size(value: str) -> None:
    if len(value) > MAX_VALUE_CHARS:
        raise ToolFailed(
            f"A memory block holds {MAX_VALUE_CHARS} characters at most, and this one would have "
            f"{len(value)}. Nothing was changed: shorten it first."
        )
