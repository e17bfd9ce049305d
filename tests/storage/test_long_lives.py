"""What an agent costs goes by what stands in its window, not by how long it has lived."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from letta_client import Letta
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.storage.agents.agents import AgentFilter, get_agent_state, list_agent_states
from o.storage.agents.conversations import get_thread
from o.storage.archives.agent_archives import sum_up_archives
from o.storage.database import Database
from o.storage.history.changes import get_system_prompt
from o.storage.history.context_windows import count_messages, newest_report
from o.storage.history.messages import rewrite_system_message
from o.storage.history.window import read_window
from o.storage.pages import Page
from o.storage.turn.opening import Mark, open_step
from tests.storage.test_long_histories import rows_read
from tests.support.product import Product
from tests.support.provider import HANDLE

_LIFE, _WINDOW = 20_000, 50
_FILL = """
WITH own AS (
    UPDATE conversations SET next_position = %s, window_start = %s, epoch = 7
    WHERE agent_id = %s AND is_default RETURNING *
), summary AS (
    INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role)
    SELECT 'message-summary-' || agent_id, organization_id, agent_id, id, 1, 'summary' FROM own
)
INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, parts)
SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, id, n,
    CASE WHEN n %% 2 = 0 THEN 'user' ELSE 'assistant' END, '[{"type": "text", "text": "hello"}]'
FROM own, generate_series(2, %s) AS n
"""
_SHORT_LIVES = """
WITH short AS (
    INSERT INTO conversations (id, organization_id, agent_id, is_default, next_position)
    SELECT 'conv-' || gen_random_uuid(), organization_id, id, false, 1
    FROM agents, generate_series(1, %s) WHERE id = %s RETURNING *
)
INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, parts)
SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, id, 0, 'system',
    '[{"type": "text", "text": "You are brief."}]'
FROM short
"""
_WAITING = """
INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, status,
    input)
SELECT 'run-of-' || agent_id, organization_id, agent_id, id, 'key', 'hash', 'created',
    '[{"role": "user", "parts": [{"type": "text", "text": "hello"}]}]'
FROM conversations WHERE agent_id = $1 AND is_default
"""


class _Enough(Exception):
    """Nothing of this is to stay."""


Look = Callable[[AsyncConnection, str], Awaitable[Any]]


@pytest.fixture(scope="module")
def agent_id(server: Product, client: Letta) -> str:
    """An agent with a long life and a short window, beside many short lives."""
    agent_id = client.agents.create(model=HANDLE, tags=["long life"]).id
    server.query(_SHORT_LIVES, _LIFE // 5, client.agents.create(model=HANDLE).id)
    server.query(_FILL, _LIFE + 1, _LIFE - _WINDOW, agent_id, _LIFE)
    server.query(
        "UPDATE conversations SET summary_id = 'message-summary-' || agent_id WHERE agent_id = %s",
        agent_id,
    )
    server.query("ANALYZE messages")
    return agent_id


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


async def retrieved(connection: AsyncConnection, agent_id: str) -> Any:
    state = await get_agent_state(connection, Actor(), agent_id)
    assert len(state.message_ids) == _WINDOW + 2
    assert state.message_ids[1] == f"message-summary-{agent_id}"


async def listed(connection: AsyncConnection, agent_id: str) -> Any:
    wanted = AgentFilter(tags=["long life"])
    (state,) = await list_agent_states(connection, Actor(), wanted, Page(limit=10))
    assert len(state.message_ids) == _WINDOW + 2


async def looked_at(connection: AsyncConnection, agent_id: str) -> Any:
    conversation = await get_thread(connection, Actor(), Thread(agent_id=agent_id))
    window = await read_window(connection, conversation)
    assert len(window.messages) == _WINDOW
    assert await newest_report(connection, conversation) is None
    assert await count_messages(connection, agent_id) == _LIFE
    await sum_up_archives(connection, agent_id)


async def asked(connection: AsyncConnection, agent_id: str) -> Any:
    await connection.exec_driver_sql(_WAITING.replace("$1", "%s"), (agent_id,))
    opened = await open_step(connection, f"run-of-{agent_id}", 0, f"step-of-{agent_id}", Mark())
    assert opened is not None
    assert len(opened.messages) == _WINDOW + 1
    assert opened.summary is not None


async def prompted(connection: AsyncConnection, agent_id: str) -> Any:
    conversation = await get_thread(connection, Actor(), Thread(agent_id=agent_id))
    prompt = await get_system_prompt(connection, conversation.id)
    await rewrite_system_message(connection, conversation.id, f"{prompt}!", prompt_key="none")
    assert await get_system_prompt(connection, conversation.id) == f"{prompt}!"


@pytest.mark.parametrize("look", [retrieved, listed, looked_at, asked, prompted])
async def test_nothing_reads_more_than_stands_in_the_window(
    database: Database, agent_id: str, look: Look
) -> None:
    plans: list[Any] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("EXPLAIN") or "messages" not in statement:
            return
        connection.exec_driver_sql("SAVEPOINT before")
        plan = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        ).scalar_one()
        plans.append(json.loads(plan) if isinstance(plan, str) else plan)
        connection.exec_driver_sql("ROLLBACK TO before")

    with suppress(_Enough):
        async with database.begin() as connection:
            event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
            try:
                await look(connection, agent_id)
            finally:
                event.remove(database.engine.sync_engine, "before_cursor_execute", explain)
            raise _Enough
    assert plans
    for plan in plans:
        # Other tests' agents are looked through for the tag, a row each.
        assert rows_read(plan[0]["Plan"]) <= _LIFE / 10
