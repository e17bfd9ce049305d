"""`message_ids` of an agent and of a conversation: what stands in the window, and not a life."""

from letta_client import Letta
from letta_client.types import AgentState

from tests.support.chats import speak
from tests.support.product import Product


def ids_in_order(server: Product, conversation: str) -> list[str]:
    rows = server.query(
        "SELECT coalesce(copy_of, id) FROM messages WHERE conversation_id = %s ORDER BY position",
        conversation,
    )
    return [str(row[0]) for row in rows]


def own_thread(server: Product, agent: AgentState) -> str:
    ((found,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s AND is_default", agent.id
    )
    return str(found)


def compact(server: Product, conversation: str, start: int) -> str:
    """Leave what is behind a position, with a summary that stands later in history."""
    ((summary,),) = server.query(
        "WITH own AS (UPDATE conversations SET window_start = %s, epoch = epoch + 1, "
        "next_position = next_position + 1 WHERE id = %s RETURNING *), "
        "summary AS (INSERT INTO messages (id, organization_id, agent_id, conversation_id, "
        "position, role, parts) SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, "
        'id, next_position - 1, \'summary\', \'[{"type": "text", "text": "Before."}]\' '
        "FROM own RETURNING id) SELECT id FROM summary",
        start,
        conversation,
    )
    server.query("UPDATE conversations SET summary_id = %s WHERE id = %s", summary, conversation)
    return str(summary)


def test_an_agent_names_what_its_window_holds(
    client: Letta, server: Product, agent: AgentState
) -> None:
    for text in ("one", "two", "three"):
        client.agents.messages.create(agent.id, input=text)
    thread = own_thread(server, agent)
    life = ids_in_order(server, thread)
    assert client.agents.retrieve(agent.id).message_ids == life
    older = compact(server, thread, 1)
    newer = compact(server, thread, 4)
    expected = [life[0], newer, *life[5:]]
    assert older not in expected
    assert client.agents.retrieve(agent.id).message_ids == expected
    (listed,) = [one for one in client.agents.list(limit=50) if one.id == agent.id]
    assert listed.message_ids == expected
    client.agents.messages.create(agent.id, input="four")
    grown = client.agents.retrieve(agent.id).message_ids or []
    assert grown[: len(expected)] == expected
    assert len(grown) == len(expected) + 2


def test_a_conversation_names_what_its_window_holds(
    client: Letta, server: Product, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    for text in ("one", "two"):
        speak(client, conversation.id, text)
    life = ids_in_order(server, conversation.id)
    summary = compact(server, conversation.id, 2)
    expected = [life[0], summary, *life[3:]]
    shown = client.conversations.retrieve(conversation.id).in_context_message_ids
    assert shown == expected
    fork = client.conversations.fork(conversation.id)
    copied = client.conversations.retrieve(fork.id).in_context_message_ids or []
    assert copied[1:] == expected[1:]
