"""Workers' clocks disagree, and calls made at once begin in one order and end in another."""

from datetime import UTC, datetime, timedelta

from letta_client import Letta

from o.domain.messages import Message, Role, TextPart
from o.ids import new_id
from o.storage.database import Database
from o.storage.turn.committing import append_messages
from tests.support.product import Product
from tests.support.provider import HANDLE


async def test_history_is_listed_in_its_own_order_whatever_clocks_say(
    server: Product, client: Letta
) -> None:
    agent = client.agents.create(model=HANDLE)
    ((conversation_id, organization_id),) = server.query(
        "SELECT id, organization_id FROM conversations WHERE agent_id = %s", agent.id
    )
    database = Database(server.state["database_url"])
    ids = []
    for hours in (2, 0, -2):
        message = Message(
            id=new_id("message"),
            organization_id=organization_id,
            agent_id=agent.id,
            conversation_id=conversation_id,
            position=0,
            role=Role.USER,
            parts=[TextPart(text=f"by a clock that is {hours} hours ahead")],
            created_at=datetime.now(UTC) + timedelta(hours=hours),
        )
        ids.append(message.id)
        async with database.begin() as connection:
            await append_messages(connection, conversation_id, [message])
    await database.close()
    listed = [m.id for m in client.agents.messages.list(agent.id, order="asc").items]
    assert listed[-3:] == ids
