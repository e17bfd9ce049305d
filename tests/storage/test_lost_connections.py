"""A database that was away costs nobody a request once it is back."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from o.storage.database import Database
from tests.storage.bare import BareServer

_ASKED = text("SELECT pg_backend_pid() AS pid")
_ENDED = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def by_itself(database: Database) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(_ASKED)).scalar_one())


async def in_a_transaction(database: Database) -> int:
    async with database.begin() as connection:
        return int((await connection.execute(_ASKED)).scalar_one())


async def quickly(database: Database) -> int:
    async with database.quick() as quick:
        return int((await quick.execute(_ASKED, {})).one_or_none().pid)


@pytest.mark.parametrize("ask", [by_itself, in_a_transaction, quickly])
async def test_connections_that_were_lost_while_nobody_used_them_cost_no_request(
    bare: BareServer, ask: Callable[[Database], Awaitable[int]]
) -> None:
    database = bare.database
    async with database.connect() as one, database.connect() as other:
        lost = {(await held.execute(_ASKED)).scalar_one() for held in (one, other)}
    assert database.pool_standing()[:2] == (0, 2)
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as operator:
        await operator.execute(_ENDED)
    kept = await ask(database)
    assert kept not in lost
    assert await ask(database) == kept, "a connection that is well is used again"


_CONNECTIONS = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
_ENDS_ITSELF = text("SELECT pg_terminate_backend(pg_backend_pid())")
_HANGS = text("SELECT pg_sleep(600)")


async def lost(database: Database) -> None:
    with pytest.raises(OperationalError):
        async with database.quick() as quick:
            await quick.execute(_ENDS_ITSELF, {})


async def cancelled(database: Database) -> None:
    async def hang() -> None:
        async with database.quick() as quick:
            begun.set()
            await quick.execute(_HANGS, {})

    begun = asyncio.Event()
    hanging = asyncio.create_task(hang())
    await begun.wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def outdated(database: Database) -> None:
    async with database.quick():
        await database.drop_connections()


@pytest.mark.parametrize("end", [lost, cancelled, outdated])
async def test_a_connection_that_is_used_no_more_is_closed_without_a_word(
    bare: BareServer, caplog: pytest.LogCaptureFixture, end: Callable[[Database], Awaitable[None]]
) -> None:
    database = bare.database
    await end(database)
    assert [record.message for record in caplog.records if record.name.startswith("sqlalch")] == []
    async with database.connect() as one:
        async with asyncio.timeout(30):
            while (await one.execute(_CONNECTIONS)).scalar_one():
                await asyncio.sleep(0.01)
