"""What tools do to an agent's memory while others change it: never more than the call fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import pytest
from letta_client import Letta
from letta_client.types import AgentState
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.errors import ToolFailed
from o.ids import new_id
from o.storage.agents.agent_blocks import detach_block, list_agent_blocks
from o.storage.agents.agent_memory import AgentMemory
from o.storage.agents.agents import get_agent
from o.storage.archives.archives import mark_archive_deleted
from o.storage.database import Database
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

_Result = TypeVar("_Result")


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"], name="a test of memory")
    yield database
    await database.close()


@pytest.fixture
def keeper(client: Letta) -> AgentState:
    return client.agents.create(
        model=HANDLE, memory_blocks=[{"label": "human", "value": "nothing"}]
    )


async def memory_of(connection: AsyncConnection, agent: AgentState) -> AgentMemory:
    stored: Agent = await get_agent(connection, Actor(), agent.id)
    return AgentMemory(connection, stored, tool="a test")


async def once_it_waits(server: Product, call: Awaitable[_Result]) -> "asyncio.Task[_Result]":
    """The call under way, as soon as it waits for a lock."""
    task = asyncio.ensure_future(call)

    def waits() -> bool:
        ((count,),) = server.query(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND application_name = 'a test of memory'"
        )
        return bool(count)

    await asyncio.to_thread(eventually, waits, what="a wait for a lock")
    assert not task.done()
    return task


async def labels_of(database: Database, agent: AgentState) -> list[str]:
    async with database.connect() as connection:
        found = await list_agent_blocks(connection, Actor(), agent.id)
    return [block.label for block in found]


async def test_of_two_blocks_that_are_created_at_once_by_one_label_the_second_is_refused(
    server: Product, database: Database, keeper: AgentState
) -> None:
    label = new_id("plans")
    async with database.begin() as second:
        async with database.begin() as first:
            made = await (await memory_of(first, keeper)).create_block(label, "the first")
            memory = await memory_of(second, keeper)
            late = await once_it_waits(server, memory.create_block(label, "the second"))
        with pytest.raises(ToolFailed, match="already"):
            await late
    assert await labels_of(database, keeper) == ["human", label]
    assert server.query("SELECT id FROM blocks WHERE label = %s", label) == [(made.id,)]


async def test_a_block_that_is_detached_while_a_tool_deletes_it_is_missing(
    server: Product, database: Database, keeper: AgentState
) -> None:
    (human,) = keeper.blocks
    async with database.begin() as second:
        async with database.begin() as first:
            await detach_block(first, keeper.id, str(human.id))
            memory = await memory_of(second, keeper)
            late = await once_it_waits(server, memory.delete_block("human"))
        with pytest.raises(ToolFailed, match="no memory block"):
            await late
    assert await labels_of(database, keeper) == []


async def test_what_is_kept_while_the_archive_is_deleted_goes_to_another_one(
    server: Product, client: Letta, database: Database, keeper: AgentState
) -> None:
    client.agents.passages.create(keeper.id, text="Ada likes tea.")
    (archive,) = client.archives.list(agent_id=keeper.id)
    async with database.begin() as second:
        async with database.begin() as first:
            await mark_archive_deleted(first, Actor(), archive.id)
            memory = await memory_of(second, keeper)
            late = await once_it_waits(server, memory.add_passage("Bob does not.", []))
        await late
    assert [one.text for one in client.agents.passages.list(keeper.id)] == ["Bob does not."]
