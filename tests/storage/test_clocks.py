"""Clocks disagree, and calls made at once begin in one order and end in another."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from letta_client import Letta
from sqlalchemy import text

from o.domain.actors import Actor
from o.domain.messages import Message, Role, TextPart
from o.ids import new_id
from o.storage.database import Database
from o.storage.organizations.audit import RecordFilter, list_records, put_on_record
from o.storage.pages import Page
from o.storage.turn.committing import append_messages
from o.temporal.queues import POLL_S
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say
from tests.support.two_apis import AnotherApi


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


@pytest.fixture(scope="module")
def ahead(server: Product) -> Iterator[Letta]:
    """An API whose clock is an hour ahead of that of PostgreSQL."""
    api = AnotherApi(server, "tests.support.other_clock", CLOCK_IS_AHEAD_H="1")
    yield Letta(base_url=api.url, api_key="none", max_retries=0)
    api.stop()


def test_what_an_api_with_a_clock_ahead_puts_into_histories_is_no_newer_than_what_follows(
    server: Product, client: Letta, ahead: Letta
) -> None:
    agent = ahead.agents.create(
        model=HANDLE, initial_message_sequence=[{"role": "user", "content": "the first"}]
    )
    agent_ids = [agent.id, _legacy(ahead), _legacy(client)]
    ahead.agents.messages.reset(agent_ids[-1], add_default_initial_messages=True)
    for agent_id in agent_ids:
        ahead.conversations.create(agent_id=agent_id)
        ahead.conversations.fork("default", agent_id=agent_id)
    later = server.query(
        "SELECT role FROM messages WHERE agent_id = ANY(%s) AND created_at > now()", agent_ids
    )
    assert later == []
    answered = client.agents.messages.create(agent.id, input="the last").messages
    listed = client.agents.messages.list(agent.id, order="asc").items
    assert listed[-1].id == answered[-1].id


def _legacy(api: Letta) -> str:
    return api.agents.create(model=HANDLE, agent_type="memgpt_v2_agent").id


def test_workers_are_seen_by_an_api_whose_clock_is_ahead_of_that_of_temporal(
    server: Product, ahead: Letta
) -> None:
    told = httpx.get(ahead.base_url.join("/metrics")).raise_for_status().text
    assert "o_workers 2.0" in told.splitlines()


@pytest.mark.parametrize("ahead_h", [-1, 1])
def test_temporal_is_not_reset_under_workers_by_a_command_whose_clock_is_wrong(
    server: Product, ahead_h: int
) -> None:
    address = str(server.state["temporal_address"])
    refused = subprocess.run(
        [sys.executable, "-m", "tests.support.other_clock", "reset-temporal"],
        env=server.env | {"TEMPORAL_ADDRESS": address, "CLOCK_IS_AHEAD_H": str(ahead_h)},
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "2 workers poll the task queue o" in refused.stderr
    wait_s = re.search(r"try again in (\d+) s", refused.stderr)
    assert wait_s is not None
    assert int(wait_s[1]) <= POLL_S


def test_an_answer_of_another_agent_is_waited_for_by_a_worker_whose_clock_is_ahead(
    provider: FakeProvider, tmp_path: Path
) -> None:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "CLOCK_IS_AHEAD_H": "1"}
    product = Product(tmp_path / "o", env)
    product.prefix = [sys.executable, "-m", "tests.support.other_clock"]
    product.start()
    try:
        client = product.client()
        asks, answers = (
            client.agents.create(model=HANDLE, extra_body={"include_multi_agent_tools": True}).id
            for _ in range(2)
        )
        gate = provider.hold(lambda prompt: last_user_text(prompt) == "slowly")
        asking = do(
            call(
                "send_message_to_agent_and_wait_for_reply",
                message="slowly",
                other_agent_id=answers,
            ),
            say("done"),
        )
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(client.agents.messages.create, asks, input=asking)
            assert gate.reached.wait(60)
            old = "SELECT 1 FROM runs WHERE agent_id = %s AND created_at < now() - interval '2 s'"
            # Who asks would wait for a second more for what is late.
            eventually(lambda: product.query(old, answers), what="what takes its time")
            gate.opened.set()
            returned = [
                one for one in sent.result(60).messages if one.message_type == "tool_return_message"
            ]
        assert [one.status for one in returned] == ["success"]
    finally:
        product.stop()


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
