"""Servers that are gone after each test, and what tests of locks share."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from o.storage.database import Database
from tests.storage.bare import BareServer, serve_bare
from tests.support.locks import deadlocks
from tests.support.product import Product


@pytest.fixture(params=["pginstall", "pginstall18"], ids=["PostgreSQL 16", "PostgreSQL 18"])
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BareServer]:
    """An empty database of its own on each of the bundled servers."""
    async with serve_bare(request.param, tmp_path / "postgres") as (server, postgres, url):
        database = Database(url)
        try:
            yield BareServer(database, server, postgres)
        finally:
            await database.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For requests that are made at once."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def no_deadlock(server: Product) -> Iterator[None]:
    """PostgreSQL ended nobody's transaction for a ring of waits."""
    before = deadlocks(server)
    yield
    assert deadlocks(server) == before
