"""Agents that have talked for long, without the talk."""

from tests.support.product import Product

_FILL = """
WITH own AS (
    UPDATE conversations SET next_position = next_position + %s
    WHERE agent_id = %s AND is_default
    RETURNING *
)
INSERT INTO messages
    (id, organization_id, agent_id, conversation_id, position, role, parts, created_at)
SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, own.id,
    next_position - n, CASE WHEN n %% 2 = 0 THEN 'user' ELSE 'assistant' END,
    jsonb_build_array(jsonb_build_object('type', 'text', 'text', 'message ' || n || %s::text)),
    now()
FROM own, generate_series(1, %s) AS n
"""
_SENTENCE = ": it is as long as what people say to one another when nothing much has happened."


def fill(product: Product, agent_id: str, count: int) -> None:
    """Give the agent `count` messages of history, straight into the database; an even number."""
    product.query(_FILL, count, agent_id, _SENTENCE, count)


def narrow(product: Product, agent_id: str, count: int) -> None:
    """Leave the newest `count` messages in the window, as a compaction does."""
    product.query(
        "UPDATE conversations SET epoch = epoch + 1, "
        "window_start = greatest(next_position - 1 - %s, 0) WHERE agent_id = %s AND is_default",
        count,
        agent_id,
    )
