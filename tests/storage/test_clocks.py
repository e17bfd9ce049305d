"""Workers' clocks disagree, and calls made at once begin in one order and end in another."""

from datetime import UTC, datetime, timedelta

from letta_client import Letta
from sqlalchemy import text

from o.domain.actors import Actor
from o.domain.messages import Message, Role, TextPart
from o.ids import new_id
from o.storage.audit import RecordFilter, list_records, put_on_record
from o.storage.database import Database
from o.storage.pages import Page
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


async def test_what_was_done_is_on_record_in_the_order_in_which_it_was_done(
    server: Product,
) -> None:
    database = Database(server.state["database_url"])
    what = new_id("done")
    async with database.begin() as begun_first:
        await begun_first.execute(text("SELECT 1"))
        async with database.begin() as done_first:
            await put_on_record(done_first, Actor(), what, "first")
        await put_on_record(begun_first, Actor(), what, "second")
    async with database.connect() as connection:
        listed = await list_records(
            connection, [], RecordFilter(what), Page(limit=2, ascending=True)
        )
    await database.close()
    assert [one.target_id for one in listed] == ["first", "second"]
