"""Every schema that there ever was, with rows in all of its tables, is brought up to date.

And what `o migrate --plan` says of it beforehand is held to what PostgreSQL locks then.
"""

import asyncio
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from migrations.plan import pending_after, plan
from migrations.schema import is_migrated, newest_revision
from migrations.statements import (
    EXCLUSIVE,
    NO_WRITES,
    ROWS_ONLY,
    Effect,
    Work,
    effects_of,
    statements_in,
)
from migrations.upgrade import migrate, upgrade_to
from o.storage.database import sqlalchemy_url
from tests.storage.bare import BareServer
from tests.support.filled import count, fill

_HELD = """
    SELECT DISTINCT relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE pid = pg_backend_pid() AND relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname = ANY(%s) AND mode <> 'AccessShareLock' AND mode <> 'RowShareLock'
"""
_MODES = {
    "RowExclusiveLock": ROWS_ONLY,
    "ShareLock": NO_WRITES,
    "ShareRowExclusiveLock": NO_WRITES,
    "AccessExclusiveLock": EXCLUSIVE,
}
_HARSHNESS = (ROWS_ONLY, NO_WRITES, EXCLUSIVE)


async def test_every_schema_with_rows_in_all_tables_comes_up_to_date_as_its_plan_says(
    bare: BareServer,
) -> None:
    await asyncio.to_thread(_climb, bare.database.url)
    assert await is_migrated(bare.database)
    assert await migrate(bare.database) == (newest_revision(), newest_revision())


def _climb(url: str) -> None:
    """From one schema to the next, each with rows that it alone has made, and those before it."""
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    steps = pending_after(None)
    assert [step.unknown for step in steps] == [[]] * len(steps)
    counts: dict[str, int] = {}
    for step in steps:
        with engine.begin() as connection:
            upgrade_to(connection, step.revision)
            held = _held(connection, list(counts))
        told = {one.table: one for one in sorted(step.effects, key=_harshness)}
        for table, lock in held.items():
            if table != "deleted_rows":  # by the triggers of another one
                assert table in told, (step.revision, table, lock)
                assert _HARSHNESS.index(told[table].lock) >= _HARSHNESS.index(lock), (step, table)
        with psycopg.connect(url, autocommit=True) as plain:
            kept = {table: count(plain, table) for table in counts}
            assert all(kept[table] >= counts[table] for table in counts), (step.revision, kept)
            counts = fill(plain)
            assert min(counts.values()) > 0, counts
    engine.dispose()


def _harshness(effect: Effect) -> int:
    return _HARSHNESS.index(effect.lock)


def _held(connection: Connection, tables: list[str]) -> dict[str, str]:
    driver: Any = connection.connection.driver_connection
    found: dict[str, str] = {}
    for table, mode in driver.execute(_HELD, (tables,)):
        lock = _MODES[mode]
        found[table] = max(found.get(table, ROWS_ONLY), lock, key=_HARSHNESS.index)
    return found


async def test_a_plan_tells_what_waits_and_changes_nothing(bare: BareServer) -> None:
    def begin() -> None:
        engine = create_engine(sqlalchemy_url(bare.database.url), poolclass=NullPool)
        with engine.begin() as connection:
            upgrade_to(connection, "0020")
        with psycopg.connect(bare.database.url, autocommit=True) as plain:
            fill(plain)
            plain.execute(
                "INSERT INTO passages SELECT (jsonb_populate_record(one, jsonb_build_object("
                "'id', 'p' || n))).* FROM generate_series(1, 20000) AS n, passages AS one "
                "WHERE one.id = (SELECT min(id) FROM passages)"
            )
            plain.execute("ANALYZE")

    await asyncio.to_thread(begin)
    async with bare.database.connect() as connection:
        lines = await plan(connection)
    said = "\n".join(lines)
    assert lines[0] == f"schema 0020 -> {newest_revision()}; nothing is changed now"
    assert "0023  Words of passages and messages" in said
    written = [line for line in lines if "passages (20,003 rows" in line and "rows are" in line]
    assert all("writers of the same rows wait; about 4.0 s" in line for line in written)
    assert len(written) == 2
    assert "an index is built; writers wait; about" in said
    assert "Until then nobody reads or writes: archives, " in lines[-2]
    assert not await is_migrated(bare.database)
    await migrate(bare.database)
    async with bare.database.connect() as connection:
        assert await plan(connection) == [f"nothing to do: the schema is {newest_revision()}"]


def test_what_a_statement_does_to_tables_is_told_by_its_text() -> None:
    said = {
        "ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT ''": (EXCLUSIVE, Work.NONE),
        "ALTER TABLE a ADD COLUMN b uuid DEFAULT gen_random_uuid()": (EXCLUSIVE, Work.REWRITE),
        "ALTER TABLE a ALTER COLUMN b TYPE bigint": (EXCLUSIVE, Work.REWRITE),
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL": (EXCLUSIVE, Work.READ),
        "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0)": (EXCLUSIVE, Work.READ),
        "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID": (EXCLUSIVE, Work.NONE),
        "create unique index if not exists i on a (b)": (NO_WRITES, Work.INDEX),
        "UPDATE a SET b = 1": (ROWS_ONLY, Work.ROWS),
        "DROP TABLE IF EXISTS a": (EXCLUSIVE, Work.NONE),
    }
    for statement, (lock, work) in said.items():
        assert effects_of(statement) == [Effect("a", lock, work)], statement
    made = effects_of("CREATE TABLE a (b text REFERENCES c (id))")
    assert made == [Effect("c", NO_WRITES, Work.NONE)]
    assert effects_of("DO $$ BEGIN END $$") is None
    script = "SELECT ';' ; -- one; two\nCREATE FUNCTION f() AS $x$ a; 'b; $x$; /* ; */ DROP TABLE a"
    assert len(statements_in(script)) == 3
