"""What the product is for: it still knows, whatever was taken from it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from tests.chaos.killing import (
    STEPS,
    TURN,
    KillableProduct,
    Sending,
    assert_next_message_is_accepted,
    assert_turn_happened_once,
    new_agent,
)
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

pytestmark = pytest.mark.chaos


def test_an_agent_still_knows_after_everything_was_killed_and_started_again(
    provider: FakeProvider, tmp_path: Path
) -> None:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    product = Product(tmp_path / "o", env)
    product.start()
    try:
        client = product.client()
        agent = client.agents.create(
            model=HANDLE,
            memory_blocks=[
                {"label": "persona", "value": "I remember."},
                {"label": "human", "value": "Nothing is known yet."},
            ],
        )
        edit = call("memory_insert", label="human", new_string="Their name is Ada.")
        client.agents.messages.create(agent.id, input=do(edit, say("Hello Ada")))
        product.kill_everything()
        product.start()
        reply = product.client().agents.messages.create(agent.id, input="Who am I?")
        assert reply.messages[0].content == "You are Ada."
        assert [m.message_type for m in product.client().agents.messages.list(agent.id)] == [
            "system_message",
            "user_message",
            "tool_call_message",
            "tool_return_message",
            "assistant_message",
            "user_message",
            "assistant_message",
        ]
    finally:
        product.stop()


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_turns_survive_the_loss_of_temporals_database(
    product: KillableProduct, provider: FakeProvider, how: str
) -> None:
    agent = new_agent(product)
    asked_before, problems_before = provider.asked(TURN), len(provider.problems)
    with product.stopped_at("model-called-2") as reached:
        running = Sending(product, agent)
        reached()
        queued = [Sending(product, agent, f"queued {n}") for n in range(2)]
        eventually(lambda: product.query("SELECT count(*) FROM runs") == [(3,)], what="two queued")
        product.kill("temporal")
        for file in product.data_dir.glob("temporal.db*"):
            file.unlink()
        if how == "damaged":
            (product.data_dir / "temporal.db").write_bytes(b"what a bad disk gives back" * 10_000)
    reply = running.reply(90)
    assert reply.messages[-1].content == "done"
    answers = {sending.reply(90).messages[0].content for sending in queued}
    assert answers == {"You said: queued 0", "You said: queued 1"}
    assert STEPS <= provider.asked(TURN) - asked_before <= STEPS + 1
    assert provider.problems[problems_before:] == []
    rows = product.query("SELECT status FROM runs")
    assert rows == [("completed",)] * 3
    roles = product.query("SELECT role FROM messages ORDER BY position")
    turn = ["user", *["assistant", "tool"] * (STEPS - 1), "assistant"]
    assert [role for (role,) in roles] == ["system", *turn, *["user", "assistant"] * 2]


def test_a_run_whose_api_died_and_whose_client_never_came_back_is_carried_out(
    product: KillableProduct,
) -> None:
    agent = new_agent(product)
    lost: list[BaseException] = []

    def send() -> None:
        try:
            url = f"{product.url}/v1/agents/{agent.id}/messages"
            httpx.post(url, json={"input": "hello"}, timeout=30)
        except httpx.TransportError as error:
            lost.append(error)

    with product.stopped_at("run-stored") as reached:
        sending = threading.Thread(target=send)
        sending.start()
        reached()
        product.kill("api")
        sending.join()
    assert lost
    eventually(
        lambda: product.query("SELECT status FROM runs") == [("completed",)],
        what="the sweeper's rescue",
    )
    roles = product.query("SELECT role FROM messages ORDER BY position")
    assert roles == [("system",), ("user",), ("assistant",)]


async def test_a_turn_goes_on_when_its_execution_is_terminated(product: KillableProduct) -> None:
    agent = new_agent(product)
    with product.stopped_at("model-called-1") as reached:
        sending = Sending(product, agent)
        reached()
        ((conversation_id,),) = product.query("SELECT id FROM conversations")
        temporal = await Client.connect(product.state["temporal_address"])
        await temporal.get_workflow_handle(conversation_id).terminate()
    assert_turn_happened_once(product, agent, await asyncio.to_thread(sending.reply))


async def test_an_execution_that_no_worker_can_go_on_with_is_replaced(
    product: KillableProduct,
) -> None:
    agent = new_agent(product)
    ((conversation_id,),) = product.query("SELECT id FROM conversations")
    temporal = await Client.connect(product.state["temporal_address"])
    await temporal.start_workflow("Conversation", "no state", id=conversation_id, task_queue="o")
    sending = Sending(product, agent)
    assert_turn_happened_once(product, agent, await asyncio.to_thread(sending.reply))
    assert_next_message_is_accepted(product, agent)


def test_a_stream_whose_worker_dies_shows_no_mixed_text(
    product: KillableProduct, provider: FakeProvider
) -> None:
    agent = new_agent(product)
    words = " ".join(f"word{n}" for n in range(30))
    body = {
        "input": do(say(words) | {"pause_s": 0.05}),
        "stream_tokens": True,
        "include_pings": False,
    }
    pieces: dict[str, str] = {}
    url = f"{product.url}/v1/agents/{agent.id}/messages/stream"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        for line in answer.iter_lines():
            if '"assistant_message"' not in line:
                continue
            event = json.loads(line.removeprefix("data: "))
            pieces[event["id"]] = pieces.get(event["id"], "") + event["content"]
            if len(pieces) == 1 and "word5" in event["content"]:
                product.kill_one("worker", None)
    half, whole = pieces.values()
    assert words.startswith(half)
    assert len(half) < len(words)
    assert whole == words
    stored = product.client().agents.messages.list(agent.id).items[-1]
    assert (stored.id, stored.content) == (list(pieces)[1], words)


def test_both_workers_and_the_api_may_die_at_once(
    product: KillableProduct, provider: FakeProvider
) -> None:
    agent = new_agent(product)
    with product.stopped_at("step-committed-1") as reached:
        sending = Sending(product, agent)
        reached()
        for name in ("worker-1", "worker-2", "api"):
            product.kill(name)
    assert_turn_happened_once(product, agent, sending.reply())
    assert_next_message_is_accepted(product, agent)


def test_a_step_that_kills_its_workers_fails_its_run_and_not_the_agent(
    provider: FakeProvider, tmp_path: Path
) -> None:
    product = KillableProduct(tmp_path / "o", provider)
    product.env["O_CRASH_ATTEMPTS"] = "2"
    product.start()
    try:
        agent = new_agent(product)
        for attempt in range(2):
            with product.stopped_at("model-called-0") as reached:
                if attempt == 0:
                    sending = Sending(product, agent)
                reached()
                product.kill_one("worker", None)
        with pytest.raises(Exception, match="given up"):
            sending.reply()
        assert_next_message_is_accepted(product, agent)
    finally:
        product.stop()
