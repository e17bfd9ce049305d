"""What becomes of a file while the database that it stands in goes away."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ingestion import IngestionActivities
from migrations.upgrade import migrate
from o.domain.files.kinds import FileKind
from o.domain.files.reading import FileText
from o.storage.database import Database
from tests.storage.bare import serve_bare
from workflows.text_contract import FileRef

_FILL = """
INSERT INTO archives (id, organization_id, name, is_folder, created_at, updated_at)
SELECT 'archive-1', id, 'notes', true, now(), now() FROM organizations;
INSERT INTO folders (id, organization_id, name, archive_id, created_at, updated_at)
SELECT 'source-1', id, 'notes', 'archive-1', now(), now() FROM organizations;
INSERT INTO files (id, organization_id, folder_id, file_name, original_file_name, created_at,
    updated_at)
SELECT 'file-1', id, 'source-1', 'a.txt', 'a.txt', now(), now() FROM organizations;
INSERT INTO file_contents (file_id, text) VALUES ('file-1', 'hello')
"""
_SHUT = """
ALTER DATABASE files ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'files'
"""


class ReaderThatLosesTheDatabase:
    """Reads, and meanwhile nobody can connect to the database any more."""

    def __init__(self, server: Database) -> None:
        self._server = server

    async def read(
        self, kind: FileKind, pieces: AsyncIterable[bytes], *, chunk_tokens: int
    ) -> FileText:
        """What was read comes too late to be stored."""
        await run(self._server, _SHUT)
        return FileText("hello", ["hello"])


async def test_a_database_that_goes_away_is_no_worker_that_died_of_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "o.storage.database")
    async with two_databases(tmp_path) as (server, database):
        reader = ReaderThatLosesTheDatabase(server)
        reading = IngestionActivities(database, reader, lambda _: None)
        under_way = asyncio.create_task(
            ActivityEnvironment().run(reading.ingest_file, FileRef("file-1"))
        )
        async with asyncio.timeout(20):
            while "database is away" not in caplog.messages and not under_way.done():
                await asyncio.sleep(0.02)
        await run(server, "ALTER DATABASE files ALLOW_CONNECTIONS true")
        with pytest.raises(ApplicationError, match="OperationalError"):
            await under_way
        async with database.connect() as connection:
            assert await connection.scalar(text("SELECT attempts FROM files")) == 0
        assert caplog.messages.count("database is away") == 1


@asynccontextmanager
async def two_databases(tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    """One to ask its server by, and one that has a file that waits to be read."""
    async with serve_bare("pginstall", tmp_path / "postgres") as (_, _, url):
        server = Database(url)
        await run(server, "CREATE DATABASE files")
        database = Database(url.replace("/postgres?", "/files?"))
        await migrate(database)
        await run(database, _FILL)
        yield server, database
        await database.close()
        await server.close()


async def run(database: Database, statements: str) -> None:
    """Run statements, each by itself."""
    async with database.connect() as connection:
        for statement in statements.split(";\n"):
            await connection.execute(text(statement))
