"""Migrations on every PostgreSQL that is supported and at hand, and together."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import migrations
from migrations.schema import is_migrated, newest_revision
from migrations.upgrade import migrate
from o.errors import Conflict
from o.storage.database import Database
from o.storage.tables.all import metadata
from tests.storage.bare import BareServer

RELEASED = {
    "0001_spine.py": "dc5d3660d0a3153c",
    "0002_agents_and_blocks.py": "fccdb3d81de99768",
    "0003_runs_as_resources.py": "5b5a24c1bab7f13c",
    "0004_fewer_round_trips.py": "975b7603ae34a1f7",
    "0005_turns_under_control.py": "fe2b1c5ced28c7a8",
    "0006_shared_messages.py": "ce133f398b544656",
    "0007_deleted_rows.py": "e1b87ba9f48bec72",
    "0008_model_lessons.py": "968c3fec11a327dc",
    "0009_usage_and_traces.py": "07a15dcbb642569b",
    "0010_providers.py": "96742cac05db8c73",
    "0011_extras.py": "0af87a1ca9a0cef9",
    "0012_models_that_fail.py": "4886facfc3d63394",
    "0013_tools.py": "853f2590e78d10e7",
    "0014_work_outside_transactions.py": "6dfd20813f43e124",
    "0015_agent_waits.py": "38d7edace856c1a4",
    "0016_sandbox_states.py": "05cdcae031487d16",
    "0017_tool_variables.py": "9d4d3b5ac9594471",
    "0018_mcp_servers.py": "0f378afafdb948b1",
    "0019_archives.py": "e651ffbd14358c9c",
    "0020_block_history.py": "5fd4f9cd21ab1685",
    "0021_embedding.py": "f1411221fc15f071",
    "0022_window.py": "056919b90e6500c2",
    "0023_search.py": "7da8314949048842",
    "0024_folders.py": "9c0bf63ba9f948e8",
    "0025_identities_groups.py": "22bd548f95905ace",
    "0026_message_vectors.py": "92cedc16ef83e316",
    "0027_kept_parts.py": "faaf81ae4acaa7ce",
    "0028_moved_rows.py": "5aa1ea9213b9261d",
    "0029_api_keys.py": "1cdb1ab8179e1b80",
    "0030_organizations_users.py": "a5e24881d292709c",
    "0031_retention.py": "29eb0d51a6634829",
    "0032_purges.py": "8e49550a552fc989",
    "0033_judged_providers.py": "9e0083a25fb3eb21",
    "0034_batches.py": "fac11047f66c8eb8",
}
"""Somebody's database was made by them: they are never changed, nor numbered anew."""


@pytest.fixture
def database(bare: BareServer) -> Database:
    return bare.database


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


async def test_a_user_who_may_not_make_the_vector_extension_is_told_who_does(
    database: Database,
) -> None:
    await _run(database, "CREATE ROLE plain LOGIN", "ALTER SCHEMA public OWNER TO plain")
    theirs = Database(database.url.replace("o@/", "plain@/"))
    try:
        with pytest.raises(Conflict, match="have a superuser run `CREATE EXTENSION vector`"):
            await migrate(theirs)
        await _run(database, "CREATE EXTENSION vector")
        await migrate(theirs)
        assert await is_migrated(theirs)
    finally:
        await theirs.close()


def test_released_revisions_are_never_changed_or_numbered_anew() -> None:
    (place,) = migrations.__path__
    files = sorted((Path(place) / "versions").glob("[0-9]*.py"))
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
    assert RELEASED.items() <= sums.items()
    assert [name[:4] for name in sums] == [f"{n:04}" for n in range(1, len(sums) + 1)]


async def _run(database: Database, *statements: str) -> None:
    async with database.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


NOT_OURS = {
    "a revision that no release has": (
        "UPDATE alembic_version SET version_num = 'a1b2c3d4e5f6'",
        "names a revision 'a1b2c3d4e5f6'",
    ),
    "several revisions": ("INSERT INTO alembic_version VALUES ('0001')", "several revisions"),
    "a column that is missing": (
        "ALTER TABLE runs DROP COLUMN approval_id, DROP COLUMN callback_url",
        "lacks runs.approval_id, runs.callback_url.",
    ),
    "a table that is missing": ("DROP TABLE run_events CASCADE", "lacks run_events."),
    "a newer one that is no longer fit for this release": (
        "UPDATE alembic_version SET version_num = '9000'; ALTER TABLE runs DROP COLUMN approval_id",
        "revision 9000 and lacks runs.approval_id.",
    ),
    "numbered otherwise": (
        "UPDATE alembic_version SET version_num = '0004'",
        "(revision 0004) cannot be brought up to date: ",
    ),
}


@pytest.mark.parametrize("kind", NOT_OURS)
async def test_a_schema_that_is_not_the_expected_one_is_refused(
    database: Database, kind: str
) -> None:
    await migrate(database)
    change, said = NOT_OURS[kind]
    await _run(database, *change.split("; "))
    with pytest.raises(Conflict) as refused:
        await migrate(database)
    assert said in refused.value.message
    assert "DATABASE_URL" in refused.value.message
    if kind == "numbered otherwise":  # it may as well be waiting for its migration
        assert not await is_migrated(database)
        return
    with pytest.raises(Conflict, match="DATABASE_URL") as refused:
        await is_migrated(database)
    assert said in refused.value.message


async def test_the_schema_of_a_newer_release_is_accepted_and_left_alone(database: Database) -> None:
    await migrate(database)
    await _run(
        database,
        "UPDATE alembic_version SET version_num = '9000'",
        "ALTER TABLE runs ADD COLUMN of_the_future text",
        "CREATE TABLE of_the_future (id text)",
    )
    assert await is_migrated(database)
    assert await migrate(database) == ("9000", "9000")
