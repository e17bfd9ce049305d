"""A page of a long history costs what the page holds, wherever it is: the plans use the indexes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from letta_client import Letta
from sqlalchemy import event

from o.domain.actors import Actor
from o.storage.database import Database
from o.storage.history.pages import list_agent_messages
from o.storage.pages import Page
from tests.support.product import Product
from tests.support.provider import HANDLE

_MESSAGES = 20_000
_LIMIT = 50


@pytest.fixture(scope="module")
def agent_id(server: Product, client: Letta) -> str:
    """An agent with a long history, among others: another long one and many short ones."""
    ids = [client.agents.create(model=HANDLE).id for _ in range(2)]
    for agent_id in ids:
        server.query(
            "INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, "
            "parts, created_at) SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, "
            "id, n, CASE WHEN n %% 2 = 0 THEN 'user' ELSE 'assistant' END, "
            '\'[{"type": "text", "text": "hello"}]\', '
            "now() - interval '1 week' + n * interval '1 second' "
            "FROM conversations, generate_series(1, %s) AS n WHERE agent_id = %s",
            _MESSAGES,
            agent_id,
        )
    server.query(
        "WITH short AS (INSERT INTO conversations (id, organization_id, agent_id, is_default) "
        "SELECT 'conv-' || gen_random_uuid(), organization_id, id, false "
        "FROM agents, generate_series(1, 600) WHERE id = %s RETURNING *) "
        "INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role) "
        "SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, id, 1, 'user' "
        "FROM short",
        ids[1],
    )
    server.query("ANALYZE messages")
    return ids[0]


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("cursors", [{}, {"before": 1}, {"after": 1}])
@pytest.mark.parametrize("more", [{}, {"conversation_id": "default"}, {"types": ["user_message"]}])
async def test_a_page_reads_little_more_than_it_shows(
    server: Product,
    database: Database,
    agent_id: str,
    ascending: bool,
    cursors: dict[str, int],
    more: dict[str, Any],
) -> None:
    middle = "SELECT id FROM messages WHERE agent_id = %s AND position = %s"
    ((cursor,),) = server.query(middle, agent_id, _MESSAGES // 2)
    page = Page(**dict.fromkeys(cursors, cursor), limit=_LIMIT, ascending=ascending)
    sent: list[tuple[str, Any]] = []

    def note(*happened: Any) -> None:
        sent.append((happened[2], happened[3]))

    async with database.connect() as connection:
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        found = await list_agent_messages(connection, Actor(), agent_id, page, **more)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        statement, parameters = sent[-1]
        answer = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        )
        plan = answer.scalar_one()
    assert len(found) == _LIMIT
    plan = json.loads(plan) if isinstance(plan, str) else plan
    assert rows_read(plan[0]["Plan"]) <= 6 * _LIMIT


def rows_read(node: dict[str, Any]) -> float:
    """Rows that the plan took from tables and indexes, those it threw away included."""
    children = sum(rows_read(child) for child in node.get("Plans", []))
    if "Relation Name" not in node:
        return children
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + thrown) * node["Actual Loops"]) + children
