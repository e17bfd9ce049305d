"""Rows as they lie there when somebody died before he could go on."""

from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product


def lost_run(product: Product, agent: AgentState, text: str) -> str:
    """A run that an API stored a minute ago and handed to nobody; its id."""
    run_id = new_id("run")
    product.query(
        "INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, "
        "status, created_at, input) "
        "SELECT %s, organization_id, agent_id, id, %s, 'hash', 'created', "
        "now() - interval '1 minute', jsonb_build_array(jsonb_build_object('role', 'user', "
        "'parts', jsonb_build_array(jsonb_build_object('type', 'text', 'text', %s::text)))) "
        "FROM conversations WHERE agent_id = %s AND is_default",
        run_id,
        run_id,
        text,
        agent.id,
    )
    return run_id


def status_of(product: Product, run_id: str) -> str:
    ((status,),) = product.query("SELECT status FROM runs WHERE id = %s", run_id)
    return str(status)


def is_there(product: Product, agent: AgentState) -> bool:
    """Whether the agent's row is, deleted or not."""
    return bool(product.query("SELECT 1 FROM agents WHERE id = %s", agent.id))
