"""What PostgreSQL will never take is told apart from a database that is away."""

import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from o.storage.database import is_unfit, is_unreachable
from tests.storage.bare import BareServer

_LONG = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(200))


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("INSERT INTO short_names VALUES (:value)", {"value": _LONG}),  # no index takes it
        ("SELECT CAST(:value AS integer)", {"value": "many"}),
        ("SELECT CAST(:value AS jsonb)", {"value": "[" * 200_000 + "]" * 200_000}),
    ],
    ids=["too long for an index", "of another type", "too deep"],
)
async def test_a_value_that_is_unfit_is_no_reason_to_try_again(
    bare: BareServer, statement: str, values: dict[str, str]
) -> None:
    async with bare.database.begin() as connection:
        await connection.execute(text("CREATE TABLE short_names (name text PRIMARY KEY)"))
    async with bare.database.connect() as connection:
        with pytest.raises(DBAPIError) as refused:
            await connection.execute(text(statement), values)
    assert is_unfit(refused.value)
    assert not is_unreachable(refused.value)


async def test_a_connection_that_is_lost_is_one(bare: BareServer) -> None:
    async with bare.database.connect() as connection:
        with pytest.raises(DBAPIError) as lost:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert not is_unfit(lost.value)
    assert is_unreachable(lost.value)
