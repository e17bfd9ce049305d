"""Rows that are asked for at once are read together, and each request is answered for itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState as ShownAgent
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from o.domain.actors import Actor
from o.domain.agents import AgentState
from o.errors import NotFound, Unreadable
from o.ids import new_id
from o.storage.agents.agents import read_agent_state, state_of
from o.storage.agents.blocks import read_block
from o.storage.database import Database, is_unreachable
from o.storage.quick import QuickConnection
from o.storage.shared_reads import SharedReads
from tests.api.test_unreadable_rows import spoil
from tests.support.ports import own_port
from tests.support.product import Product

_NUMBERS = text(
    "SELECT id, 12 / id::int AS state FROM unnest(CAST(:ids AS text[])) AS id "
    "WHERE :organization_id = 'ours'"
)


class Counted:
    """A database whose statements for shared reads are counted."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        self.reads = SharedReads(self._quick)
        self._database = database

    @asynccontextmanager
    async def _quick(self) -> AsyncIterator[QuickConnection]:
        self.count += 1
        async with self._database.quick() as quick:
            yield quick

    async def number(self, row_id: str, organization_id: str = "ours") -> Any:
        row = await self.reads.row(_NUMBERS, organization_id, row_id)
        return row and row.state

    async def agent(self, agent_id: str, actor: Actor | None = None) -> AgentState:
        text = await read_agent_state(
            self.reads, actor or Actor(), agent_id, with_blocks=True, with_tools=True
        )
        return state_of(text, agent_id)


@pytest.fixture
async def counted(server: Product) -> AsyncIterator[Counted]:
    database = Database(server.state["database_url"], name="shared reads")
    yield Counted(database)
    await database.close()


async def test_rows_that_are_asked_for_at_once_are_one_statement(counted: Counted) -> None:
    asked = [str(n) for n in (1, 2, 3, 4, 6, 12)]
    found = await asyncio.gather(*(counted.number(one) for one in asked * 2))
    assert found == [12, 6, 4, 3, 2, 1] * 2
    assert counted.count == 1


async def test_a_statement_reads_no_more_than_twenty_rows(counted: Counted) -> None:
    found = await asyncio.gather(*(counted.number(str(n)) for n in range(1, 51)))
    assert found == [12 // n for n in range(1, 51)]
    assert counted.count == 3


async def test_organizations_share_no_statement(counted: Counted) -> None:
    ours, theirs = await asyncio.gather(counted.number("1"), counted.number("1", "theirs"))
    assert (ours, theirs) == (12, None)
    assert counted.count == 2


async def test_blocks_are_read_together_and_each_as_it_is(
    server: Product, counted: Counted, agent: ShownAgent
) -> None:
    ids = [str(block.id) for block in agent.blocks]
    found = await asyncio.gather(*(read_block(counted.reads, Actor(), one) for one in ids))
    assert [block.id for block in found] == ids
    assert counted.count == 1
    with pytest.raises(NotFound):
        await read_block(counted.reads, Actor(organization_id=new_id("org")), ids[0])
    shown = server.client().blocks.retrieve(ids[0])
    assert shown.value == agent.blocks[0].value


async def test_each_is_told_of_its_own_agent(
    server: Product, counted: Counted, agent: ShownAgent
) -> None:
    spoiled = server.client().agents.create(model=agent.model)
    spoil(server, "agents", "metadata", spoiled.id)
    found, bad, missing, foreign = await asyncio.gather(
        counted.agent(agent.id),
        counted.agent(spoiled.id),
        counted.agent(new_id("agent")),
        counted.agent(agent.id, Actor(organization_id=new_id("org"))),
        return_exceptions=True,
    )
    assert isinstance(found, AgentState)
    assert found.agent.id == agent.id
    assert isinstance(bad, Unreadable)
    assert isinstance(missing, NotFound)
    assert isinstance(foreign, NotFound)


async def test_a_row_that_fails_its_statement_fails_alone(counted: Counted) -> None:
    found = await asyncio.gather(
        *(counted.number(one) for one in ("3", "0", "4")), return_exceptions=True
    )
    assert (found[0], found[2]) == (4, 3)
    assert isinstance(found[1], DBAPIError)
    assert "division by zero" in str(found[1])


async def test_a_statement_that_fails_for_all_is_not_sent_again(counted: Counted) -> None:
    wrong = text("SELECT id, nowhere(:ids, :organization_id) FROM agents")
    found = await asyncio.gather(
        *(counted.reads.row(wrong, "ours", one) for one in ("1", "2", "3")), return_exceptions=True
    )
    assert all(isinstance(one, DBAPIError) for one in found)
    assert counted.count == 1


async def test_who_leaves_takes_nobody_along(counted: Counted) -> None:
    tasks = [asyncio.create_task(counted.number(one)) for one in ("1", "2", "3")]
    await asyncio.sleep(0)  # all have asked
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [6, 4]
    assert tasks[0].cancelled()
    assert counted.count == 1


async def test_who_has_written_reads_it_however_many_read(
    server: Product, counted: Counted, agent: ShownAgent
) -> None:
    async def read_on() -> None:
        while True:
            await counted.agent(agent.id)

    database = Database(server.state["database_url"], name="shared reads")
    readers = [asyncio.create_task(read_on()) for _ in range(4)]
    try:
        for n in range(30):
            async with database.begin() as connection:
                values = {"name": f"name {n}", "id": agent.id}
                await connection.execute(
                    text("UPDATE agents SET name = :name WHERE id = :id"), values
                )
            assert (await counted.agent(agent.id)).agent.name == f"name {n}"
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        await database.close()


def test_an_answer_that_is_kept_is_of_the_agent_as_it_is_and_as_it_is_asked_for(
    server: Product, client: Letta, agent: ShownAgent
) -> None:
    block = client.blocks.create(label="notes", value="first")
    client.agents.blocks.attach(block.id, agent_id=agent.id)

    def notes() -> list[str]:
        shown = client.agents.retrieve(agent.id, include=["agent.blocks"]).blocks
        return [one.value for one in shown if one.label == "notes"]

    for value in ("second", "third", "second"):
        client.blocks.update(block.id, value=value)
        assert [notes(), notes()] == [[value], [value]]
        assert client.agents.retrieve(agent.id).blocks == []
    client.agents.delete(agent.id)
    with pytest.raises(NotFoundError):
        notes()


async def test_all_are_told_that_the_database_is_away() -> None:
    database = Database(f"postgresql://o@127.0.0.1:{own_port()}/o")
    counted = Counted(database)
    found = await asyncio.gather(
        *(counted.number(one) for one in ("1", "2", "3")), return_exceptions=True
    )
    assert all(isinstance(one, BaseException) and is_unreachable(one) for one in found)
    assert counted.count == 1
    await database.close()
