"""Whoever tries what is no key is refused, and costs those who have one neither time nor room."""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.keys import KeyBook
from o.domain.keys import SECRET_PREFIX
from o.storage.database import Database, libpq_url
from tests.support.organizations import new_key
from tests.support.product import Product, eventually

APIS = int(os.environ.get("O_TEST_API_PROCESSES", "1"))
"""Of which each looks by itself."""
BAD = [f"{SECRET_PREFIX}{'x' * 40}{n}" for n in range(500)]


class Counted(Database):
    """A database whose connections are counted."""

    count = 0

    def connect(self) -> AsyncConnection:
        self.count += 1
        return super().connect()


@pytest.fixture
async def counted(server: Product) -> AsyncIterator[Counted]:
    database = Counted(server.state["database_url"], name="keys tried")
    yield database
    await database.close()


async def test_keys_that_are_tried_at_once_are_one_look_into_the_database(
    server: Product, counted: Counted
) -> None:
    book, good = KeyBook(), new_key(server, "read")
    *bad, key = await asyncio.gather(*(book.find(counted, secret) for secret in [*BAD, good]))
    assert bad == [None] * len(BAD)
    assert key is not None
    assert counted.count == 1
    assert await book.find(counted, good) == key
    assert counted.count == 1, "what is known is not looked up again"


async def test_a_key_that_comes_during_a_look_waits_for_that_and_the_next_one(
    server: Product, counted: Counted
) -> None:
    book, good = KeyBook(), new_key(server, "read")
    looking = asyncio.create_task(book.find(counted, BAD[0]))
    while not counted.count:
        await asyncio.sleep(0)
    *bad, key = await asyncio.gather(*(book.find(counted, secret) for secret in [*BAD, good]))
    assert await looking is None
    assert bad == [None] * len(BAD)
    assert key is not None
    assert counted.count == 2


async def test_who_goes_away_while_his_key_is_looked_up_leaves_the_others_theirs(
    server: Product, counted: Counted
) -> None:
    book, good = KeyBook(), new_key(server, "read")
    first = asyncio.create_task(book.find(counted, BAD[0]))
    other = asyncio.create_task(book.find(counted, good))
    await asyncio.sleep(0)
    first.cancel()
    assert await other is not None
    assert first.cancelled()


async def test_keys_that_are_none_take_no_memory(counted: Counted) -> None:
    book = KeyBook()
    before = _held(book)
    for n in range(20):
        await asyncio.gather(*(book.find(counted, f"{secret}-{n}") for secret in BAD))
    assert _held(book) == before


def _held(book: KeyBook) -> int:
    """How many things its collections hold."""
    return sum(len(one) for one in vars(book).values() if hasattr(one, "__len__"))


async def test_keys_that_are_tried_take_no_connections_of_who_needs_none_for_his(
    server: Product,
) -> None:
    """The table of keys is locked meanwhile, so that each look takes as long as it can."""
    keyless = httpx.AsyncClient(base_url=server.url, timeout=30)
    with psycopg.connect(libpq_url(server.state["database_url"])) as locking:
        locking.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        trying = [
            asyncio.create_task(
                keyless.get("/v1/blocks/", headers={"authorization": f"Bearer {secret}"})
            )
            for secret in BAD[:60]
        ]
        await asyncio.to_thread(eventually, lambda: _looks(server), what="a look")
        assert (await keyless.get("/v1/blocks/", params={"limit": 1})).status_code == 200
        assert 1 <= _looks(server) <= APIS
        assert not any(one.done() for one in trying)
    assert {answer.status_code for answer in await asyncio.gather(*trying)} == {401}
    await keyless.aclose()


def _looks(server: Product) -> int:
    """How many connections wait for the table of keys."""
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'api_keys'::regclass AND NOT granted"
    ((count,),) = server.query(waiting)
    return int(count)
