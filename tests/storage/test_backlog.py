"""What is counted for those who watch the server."""

import asyncio

from sqlalchemy import text

from migrations.upgrade import migrate
from o.storage.backlog import count_backlog
from o.storage.database import Database
from tests.storage.bare import BareServer

# Each agent has a turn that waits: for an hour behind an approval request, for a minute by itself.
_FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO organizations (id, name) VALUES ('org-1', 'x');
INSERT INTO agents (id, organization_id, name, agent_type, system, model, context_window, timezone)
SELECT 'agent-' || n, 'org-1', 'x', 'letta_v1_agent', '', 'openai/x', 1000, 'UTC'
FROM generate_series(1, 2) AS n;
INSERT INTO conversations (id, organization_id, agent_id, is_default)
SELECT 'conv-' || id, organization_id, id, true FROM agents;
INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, status,
    created_at)
SELECT 'run-' || agent_id, organization_id, agent_id, id, 'key', 'hash', 'created',
    now() - CASE agent_id WHEN 'agent-1' THEN interval '1 hour' ELSE interval '1 minute' END
FROM conversations;
INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, step_id, step_index,
    calls, digest, status)
SELECT 'message-1', organization_id, agent_id, conversation_id, id, 'step-1', 0, '[]', '', 'pending'
FROM runs WHERE agent_id = 'agent-1'
"""


async def test_a_turn_behind_an_approval_request_is_none_that_workers_are_late_for(
    bare: BareServer,
) -> None:
    await migrate(bare.database)
    assert (await count_backlog(bare.database, timeout_s=10)).oldest_waiting_s == 0
    async with bare.database.begin() as connection:
        for statement in _FILL.split(";\n"):
            await connection.execute(text(statement))
    found = await count_backlog(bare.database, timeout_s=10)
    assert (found.waiting, found.approvals) == (2, 1)
    assert 60 <= found.oldest_waiting_s < 600
    full = Database(bare.database.url, pool_size=1)  # which is not what is asked about
    async with full.connect(), asyncio.timeout(10):
        assert (await count_backlog(full, timeout_s=10)).waiting == 2
    await full.close()
