"""A run that is closed before its input has a place in history."""

from letta_client import Letta
from letta_client.types import AgentState
from temporalio.testing import ActivityEnvironment

from activities.runs import RunActivities
from o.ids import new_id
from o.storage.database import Database
from tests.support.product import Product
from workflows.contract import Closing


async def test_the_users_message_stays_when_a_run_closes_between_its_start_and_its_input(
    server: Product, client: Letta, agent: AgentState
) -> None:
    run_id = new_id("run")
    server.query(
        "INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, "
        "status, started_at, created_at, input) "
        "SELECT %s, organization_id, agent_id, id, 'key', 'hash', 'running', now(), "
        "now() + interval '1 hour', "  # too young for the sweeper
        '\'[{"role": "user", "parts": [{"type": "text", "text": "hear me"}]}]\' '
        "FROM conversations WHERE agent_id = %s",
        run_id,
        agent.id,
    )
    database = Database(server.state["database_url"])
    close_run = RunActivities(database).close_run
    for _ in range(2):  # the second time, nothing happens
        closing = Closing(run_id, "error", "internal_error", "given up")
        await ActivityEnvironment().run(close_run, closing)
    await database.close()
    shown = client.agents.messages.list(agent.id).items
    assert [(m.message_type, m.content) for m in shown[1:]] == [("user_message", "hear me")]
    assert server.query("SELECT status FROM runs WHERE id = %s", run_id) == [("failed",)]
