"""A database that was away costs nobody a request once it is back."""

from collections.abc import Awaitable, Callable

import psycopg
import pytest
from sqlalchemy import text

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
