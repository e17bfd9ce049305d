"""A deleted organization goes by indexes, in portions, with what came to it while it went."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from migrations.upgrade import migrate
from o.storage.archives.archives import purge_archives
from o.storage.database import Database
from o.storage.files.files import purge_files
from server.sweep.organizations import OrganizationSweeper
from tests.storage.bare import serve_bare

_OTHERS = 4_000
_OWN = 600
_FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO organizations (id, name) SELECT 'org-' || n, n FROM generate_series(1, 100) AS n;
CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT n, CASE WHEN n <= {own} THEN 'org-gone' ELSE 'org-' || 1 + n % 100 END AS organization_id
FROM generate_series(1, {own} + {others}) AS n;
INSERT INTO organizations (id, name, deleted_at) VALUES ('org-gone', 'gone', now());
INSERT INTO blocks (id, organization_id, label, value, limit_chars)
SELECT 'block-' || n, organization_id, 'human', '', 100 FROM made;
INSERT INTO block_versions (block_id, version, value, label, limit_chars)
SELECT 'block-' || n, version, '', 'human', 100 FROM made,
    generate_series(1, CASE WHEN n <= {own} THEN 3 ELSE 1 END) AS version;
INSERT INTO agents (id, organization_id, name, agent_type, system, model, context_window, timezone)
SELECT 'agent-' || n, organization_id, 'many', 'letta_v1_agent', '', 'openai/x', 1000, 'UTC'
FROM made;
INSERT INTO conversations (id, organization_id, agent_id, is_default)
SELECT 'conv-' || n, organization_id, 'agent-' || n, true FROM made;
INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role)
SELECT 'message-' || n, organization_id, 'agent-' || n, 'conv-' || n, 1, 'user' FROM made;
INSERT INTO vector_spaces (id, organization_id, handle, dimension)
VALUES (1, 'org-gone', 'x/y', 64), (2, 'org-1', 'x/y', 64);
INSERT INTO archives (id, organization_id, name, space_id, is_folder, created_at, updated_at)
SELECT 'archive-' || n, organization_id, 'many', CASE WHEN n <= {own} THEN 1 ELSE 2 END, true,
    now(), now() FROM made;
INSERT INTO folders (id, organization_id, name, archive_id, created_at, updated_at)
SELECT 'source-' || n, organization_id, 'of ' || n, 'archive-' || n, now(), now() FROM made;
INSERT INTO files (id, organization_id, folder_id, file_name, original_file_name, created_at,
    updated_at)
SELECT 'file-' || n, organization_id, 'source-' || n, n, n, now(), now() FROM made;
INSERT INTO passages (id, organization_id, archive_id, text, key, file_id, ordinal, created_at,
    updated_at)
SELECT 'passage-' || n, organization_id, 'archive-' || n, 'x', 'key-' || n, 'file-' || n, 0,
    now(), now() FROM made;
INSERT INTO passage_vectors (passage_id, space_id, archive_id, embedding)
SELECT 'passage-' || n, CASE WHEN n <= {own} THEN 1 ELSE 2 END, 'archive-' || n, '[1,2]'
FROM made;
INSERT INTO tools (id, organization_id, name, json_schema, created_at, updated_at)
SELECT 'tool-' || n, organization_id, 'tool_' || n, '{{}}', now(), now() FROM made;
INSERT INTO identities (id, organization_id, identifier_key, name, identity_type, created_at,
    updated_at)
SELECT 'identity-' || n, organization_id, 'key-' || n, 'many', 'user', now(), now() FROM made;
INSERT INTO moved_rows (organization_id, kind, id, source, source_hash, moved_hash)
SELECT organization_id, 'agents', 'agent-' || n, 'x', 'x', 'x' FROM made;
INSERT INTO kept_parts (organization_id, owner_id, source, name, part)
SELECT organization_id, 'tool-' || n, 'af', 'x', '1' FROM made;
INSERT INTO other_usage (organization_id, agent_id, model, day)
SELECT organization_id, 'agent-' || n, 'x', current_date FROM made;
INSERT INTO batches (id, organization_id, run_ids, body_hash)
SELECT 'job-' || n, organization_id, '{{x}}', '' FROM made;
INSERT INTO deleted_rows (shown_id, id, kind, organization_id, created_at)
SELECT 'x' || n, 'x' || n, 'agents', organization_id, now() FROM made;
INSERT INTO worker_requests (id, organization_id, kind, request)
SELECT 'request-' || n, organization_id, 'x', 'x' FROM made
"""
_LEFT = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    AND relname NOT IN ('organizations', 'vector_spaces', 'deleted_rows', 'worker_requests')
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid
        AND attname = 'organization_id')
"""
_READ = "SELECT relname, seq_tup_read FROM pg_stat_user_tables"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with serve_bare("pginstall", tmp_path / "postgres") as (_, _, url):
        database = Database(url)
        await migrate(database)
        async with database.begin() as connection:
            for statement in _FILL.format(own=_OWN, others=_OTHERS).split(";\n"):
                await connection.execute(text(statement))
        # As PostgreSQL knows it: it takes the organization for a large one.
        async with database.begin() as connection:
            await connection.execute(text("ANALYZE"))
        yield database
        await database.close()


async def test_a_deleted_organization_goes_by_indexes_in_portions_and_with_what_comes_late(
    database: Database,
) -> None:
    before = await rows_read(database)
    with portions(database) as largest:
        await sweep_until_gone(database)
    assert max(largest) <= 500
    read = await rows_read(database)
    whole = {table for table, rows in read.items() if rows - before.get(table, 0) >= _OTHERS}
    assert whole == set()
    assert await left(database) == set()
    async with database.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM agents")) == _OTHERS
    async with database.begin() as connection:
        late = "INSERT INTO blocks (id, organization_id, label, value, limit_chars) "
        late += "VALUES ('block-late', 'org-gone', 'human', '', 100)"
        await connection.execute(text(late))
    sweeper = OrganizationSweeper(database)
    await sweeper.sweep()
    assert await left(database) == {"blocks"}
    async with database.begin() as connection:
        aged = "UPDATE organizations SET deleted_at = deleted_at - interval '1 day', "
        aged += "purged_at = purged_at - interval '1 day' WHERE id = 'org-gone'"
        await connection.execute(text(aged))
    for _ in range(2):
        await sweeper.sweep()
    assert await left(database) == set()
    async with database.connect() as connection:
        over = "SELECT purged_at > now() - interval '1 hour' FROM organizations "
        assert await connection.scalar(text(over + "WHERE id = 'org-gone'"))


async def sweep_until_gone(database: Database) -> None:
    """What the sweepers do, without a Temporal whose workflows would have to be closed."""
    sweeper = OrganizationSweeper(database)
    purged = text("SELECT purged_at IS NOT NULL FROM organizations WHERE id = 'org-gone'")
    for _ in range(10):
        await sweeper.sweep()
        async with database.begin() as connection:
            if await connection.scalar(purged):
                return
            while await purge_files(connection, limit=500):
                pass
            while await purge_archives(connection, limit=500):
                pass
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            await connection.execute(text("DELETE FROM agents WHERE deleted_at < now()"))
    raise AssertionError("it is still there")


@contextmanager
def portions(database: Database) -> Iterator[list[int]]:
    """How many rows each statement by which the organization goes has changed."""
    counts: list[int] = []

    def note(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if "organization_id" in statement and statement.lstrip().startswith(("DELETE", "UPDATE")):
            counts.append(cursor.rowcount)

    event.listen(database.engine.sync_engine, "after_cursor_execute", note)
    yield counts
    event.remove(database.engine.sync_engine, "after_cursor_execute", note)


async def left(database: Database) -> set[str]:
    """Tables that have something of the organization."""
    async with database.connect() as connection:
        return {
            table
            for table in list(await connection.scalars(text(_LEFT)))
            if await connection.scalar(
                text(f"SELECT count(*) FROM {table} WHERE organization_id = 'org-gone'")
            )
        }


async def rows_read(database: Database) -> dict[str, int]:
    """How many rows of each table were read by looking at all, by whoever has left."""
    await database.drop_connections()
    async with database.connect() as connection:
        return {row.relname: row.seq_tup_read for row in await connection.execute(text(_READ))}
