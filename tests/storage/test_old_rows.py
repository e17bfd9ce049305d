"""What is old goes in small batches, by the indexes, and nothing that somebody still needs."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from migrations.upgrade import migrate
from o.settings.retention import Retention
from o.storage.database import Database
from o.storage.old_rows import (
    Place,
    list_organizations,
    purge_audit,
    purge_batches,
    purge_runs,
    purge_usage,
)
from server.sweep.retention import RetentionSweeper
from tests.storage.bare import BareServer

# Each agent has ten runs, a day apart, the oldest eleven days old; the special ones are named.
_FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO organizations (id, name) SELECT 'org-' || n, n FROM generate_series(1, 120) AS n;
INSERT INTO agents (id, organization_id, name, agent_type, system, model, context_window, timezone)
SELECT 'agent-' || n, 'org-' || 1 + n % 120, 'many', 'letta_v1_agent', '', 'openai/x', 1000, 'UTC'
FROM generate_series(1, 1000) AS n;
INSERT INTO conversations (id, organization_id, agent_id, is_default)
SELECT 'conv-' || id, organization_id, id, true FROM agents;
INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, status,
    created_at, completed_at)
SELECT 'run-' || n || '-' || agent_id, organization_id, agent_id, id, 'key-' || n, md5(n::text),
    'completed', now() - make_interval(days => 12 - n), now() - make_interval(days => 12 - n)
FROM conversations, generate_series(1, 10) AS n;
INSERT INTO steps (id, organization_id, run_id, agent_id, index, status, model, usage, created_at)
SELECT 'step-' || id, organization_id, id, agent_id, 0, 'success', 'openai/x',
    '{"total_tokens": 7}', created_at
FROM runs;
INSERT INTO run_events (run_id, seq, attempt, kind) SELECT id, 1, 1, 'closed' FROM runs;
INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, step_id, step_index,
    calls, digest, status, decided_at)
SELECT 'message-' || id, organization_id, agent_id, conversation_id, id, 'step-' || id, 0,
    '[]', '', 'decided', created_at
FROM runs;
UPDATE approvals SET status = 'pending' WHERE run_id = 'run-1-agent-1';
UPDATE runs SET origin_run_id = 'run-1-agent-1' WHERE id IN ('run-2-agent-1', 'run-3-agent-1');
UPDATE runs SET status = 'running', completed_at = NULL WHERE id = 'run-2-agent-2';
UPDATE runs SET callback_url = 'http://x' WHERE id = 'run-1-agent-3';
INSERT INTO agent_waits (awaited_run_id, run_id) VALUES ('run-1-agent-4', 'run-2-agent-2'),
    ('run-1-agent-5', 'run-1-agent-6');
UPDATE runs SET created_at = now() - interval '20 days' WHERE agent_id = 'agent-7';
INSERT INTO batches (id, organization_id, run_ids, body_hash, created_at)
SELECT 'job-' || id, organization_id, ARRAY['run-gone', id], '', created_at FROM runs;
UPDATE batches SET callback_url = 'http://x' WHERE id = 'job-run-2-agent-3';
INSERT INTO audit_records (id, organization_id, what, created_at)
SELECT 'audit-' || n || '-' || id, id, 'key.create', now() - make_interval(days => n)
FROM organizations, generate_series(0, 29) AS n WHERE id LIKE 'org-%';
INSERT INTO other_usage (organization_id, agent_id, model, day, calls)
SELECT organization_id, id, 'openai/y', current_date - n, 1 FROM agents, generate_series(0, 9) AS n
"""
_STAY = {
    # of a request that waits for approval
    *("run-1-agent-1", "run-2-agent-1", "run-3-agent-1"),
    "run-2-agent-2",  # it is under way
    "run-1-agent-3",  # its callback is not sent
    "run-1-agent-4",  # a run that is under way waits for it
}
_GROWING = {
    "runs",
    "steps",
    "run_events",
    "approvals",
    "batches",
    "audit_records",
    "other_usage",
}
_HELD = "SELECT FROM {} WHERE {} = 'run-1-agent-120'"
_LEFT = text("SELECT id FROM runs WHERE created_at < now() - interval '5 days' ORDER BY id")


@pytest.fixture
async def database(bare: BareServer) -> Database:
    await migrate(bare.database)
    async with bare.database.begin() as connection:
        for statement in _FILL.split(";\n"):
            await connection.execute(text(statement))
    async with bare.database.begin() as connection:
        await connection.execute(text("ANALYZE"))
    return bare.database


@pytest.mark.timeout(180)
async def test_what_is_old_goes_and_what_somebody_needs_stays(database: Database) -> None:
    kept = timedelta(days=5)
    for statement, plan in (await plans_of(database, kept)).items():
        assert not read_whole(plan), statement
    await hold_a_decision_and_then_its_run(database, kept)
    is_done = f"SELECT (SELECT count(*) <= {3_000 + len(_STAY)} FROM runs)"
    is_done += " AND (SELECT count(*) <= 605 FROM audit_records)"
    is_done += " AND (SELECT count(*) <= 3002 FROM batches)"
    await go_round(database, Retention(runs=kept, audit=kept), is_done)
    async with database.connect() as connection:
        left = set(await connection.scalars(_LEFT))
        # Begun long ago, and finished within the days that are kept; or the newest of its thread.
        assert left - {f"run-{n}-agent-7" for n in range(7, 11)} == _STAY
        assert await connection.scalar(text("SELECT count(*) FROM runs")) == 3_000 + len(_STAY)
        counts = "SELECT count(*) FROM {} WHERE NOT EXISTS (SELECT FROM runs WHERE id = run_id)"
        for table in ("steps", "run_events", "approvals"):
            assert await connection.scalar(text(counts.format(table))) == 0, table
        used = "SELECT sum(calls), sum(total_tokens) FROM other_usage WHERE model = 'openai/x'"
        assert (await connection.execute(text(used))).one() == (6_994, 7 * 6_994)
        # As their runs would, though some of those stay; and two more, of which one is open and
        # the other still to be told of.
        batches = "SELECT count(*) FROM batches"
        assert await connection.scalar(text(batches)) == 3_000 + 2
        # Of the organization that was there, too.
        assert await connection.scalar(text("SELECT count(*) FROM audit_records")) == 5 * 121
    days = "SELECT count(DISTINCT day) = 6 FROM other_usage WHERE model = 'openai/y'"
    await go_round(database, Retention(usage=kept), days)
    async with database.connect() as connection:
        assert await connection.scalar(text(days))


async def hold_a_decision_and_then_its_run(database: Database, kept: timedelta) -> None:
    """In the order of all locks: the purge waits for neither, and keeps nobody from the second."""
    async with database.begin() as holding, database.begin() as purging:
        await holding.execute(text(f"{_HELD.format('approvals', 'run_id')} FOR UPDATE"))
        purged = await purge_runs(purging, "org-1", kept=kept, after=Place(), limit=2)
        assert (purged.looked_at, purged.gone) == (2, 1)
        await holding.execute(text(f"{_HELD.format('runs', 'id')} FOR UPDATE NOWAIT"))


async def plans_of(database: Database, kept: timedelta) -> dict[str, Any]:
    """How each statement finds its rows while there are many; nothing goes."""
    asked: dict[str, Any] = {}

    def note(*happened: Any) -> None:
        asked[happened[2]] = happened[3]

    async with database.begin() as connection:
        nested = await connection.begin_nested()
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        (first, *_) = await list_organizations(connection, after="", limit=50)
        purged = await purge_runs(connection, "org-1", kept=kept, after=Place(), limit=20)
        assert (first, purged.looked_at) == ("org-00000000-0000-4000-8000-000000000000", 20)
        assert await purge_audit(connection, "org-1", kept=kept, limit=2) == 2
        assert await purge_usage(connection, "org-1", kept=kept, limit=2) == 2
        assert await purge_batches(connection, "org-1", kept=kept, limit=2) == 2
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        await nested.rollback()
        found = {}
        for statement, parameters in asked.items():
            if statement.lstrip().startswith(("SELECT", "DELETE")):
                plan = await connection.exec_driver_sql(
                    f"EXPLAIN (FORMAT JSON) {statement}", parameters
                )
                found[statement] = plan.scalar_one()
    assert len(found) == 11
    return found


async def go_round(database: Database, kept: Retention, until: str) -> None:
    """Some organizations each time, in turn, for some seconds, until all have had theirs."""
    sweeper = RetentionSweeper(database, kept)
    for _ in range(100):
        for _, sweep in sweeper.duties():
            await sweep()
        async with database.connect() as connection:
            if await connection.scalar(text(until)):
                return


def read_whole(plan: Any) -> set[str]:
    """Tables that grow, and that a plan reads from end to end."""
    (top,) = json.loads(plan) if isinstance(plan, str) else plan
    nodes = nodes_of(top["Plan"])
    return {one["Relation Name"] for one in nodes if one["Node Type"] == "Seq Scan"} & _GROWING


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes_of(child)
