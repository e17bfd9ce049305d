"""Agents that wait for one another are answered once, whatever workers die meanwhile."""

import ast
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.killing import KillableProduct
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say

pytestmark = pytest.mark.chaos


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


def test_an_agent_that_waits_survives_the_death_of_every_worker(
    product: KillableProduct, provider: FakeProvider
) -> None:
    client = product.client(max_retries=12)
    among_agents = {"include_multi_agent_tools": True}
    ann = client.agents.create(name="ann", model=HANDLE, extra_body=among_agents)
    others = [
        client.agents.create(name=name, model=HANDLE, tags=["helper"]) for name in ("ben", "cem")
    ]
    gates = [provider.hold(lambda prompt: last_user_text(prompt) == "help me") for _ in others]
    wanted = call(
        "send_message_to_agents_matching_tags",
        message="help me",
        match_all=["helper"],
        match_some=[],
    )
    replies: list[Any] = []

    def send() -> None:
        text = do(wanted, say("done"))
        replies.append(client.agents.messages.create(ann.id, input=text))

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    for gate in gates:
        assert gate.reached.wait(30)
    for worker in ("worker-1", "worker-2", "worker-1"):
        product.kill(worker)
    for gate in gates:
        gate.opened.set()
    sending.join(60)
    (reply,) = replies
    (returned,) = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert ast.literal_eval(returned.tool_return) == [
        {"agent_id": other.id, "response": ["You said: help me"]} for other in others
    ]
    told = "SELECT count(*) FROM messages WHERE role = 'user' AND sender_id = '" + ann.id + "'"
    assert product.query(told) == [(2,)], "nothing was sent twice"
    assert product.query("SELECT count(*) FROM agent_waits") == [(0,)]
    assert not provider.problems
