"""Servers that are gone after each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from o.storage.database import Database
from tests.storage.bare import BareServer, serve_bare


@pytest.fixture(params=["pginstall", "pginstall18"], ids=["PostgreSQL 16", "PostgreSQL 18"])
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BareServer]:
    """An empty database of its own on each of the bundled servers."""
    async with serve_bare(request.param, tmp_path / "postgres") as (server, postgres, url):
        database = Database(url)
        try:
            yield BareServer(database, server, postgres)
        finally:
            await database.close()
