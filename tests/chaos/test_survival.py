"""What the product is for: it still knows, whatever was taken from it."""

import os
import signal
from pathlib import Path

import pytest

from tests.chaos.killing import (
    STEPS,
    TURN,
    KillableProduct,
    Sending,
    assert_next_message_is_accepted,
    assert_turn_happened_once,
    new_agent,
)
from tests.support.product import Product, eventually, is_alive
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
        everything = product.tree()
        for process in everything:
            os.kill(process.pid, signal.SIGKILL)
        product.process and product.process.wait(10)
        eventually(lambda: not any(is_alive(p.pid) for p in everything), what="the end of all")
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
def product(provider: FakeProvider, tmp_path: Path) -> KillableProduct:
    return KillableProduct(tmp_path / "o", provider)


def test_turns_survive_the_loss_of_temporals_database(
    product: KillableProduct, provider: FakeProvider
) -> None:
    product.start()
    try:
        agent = new_agent(product)
        asked_before, problems_before = provider.asked(TURN), len(provider.problems)
        with product.stopped_at("model-called-2") as reached:
            running = Sending(product, agent)
            reached()
            queued = [Sending(product, agent, f"queued {n}") for n in range(2)]
            eventually(
                lambda: product.query("SELECT count(*) FROM runs") == [(3,)], what="two queued"
            )
            product.kill("temporal")
            for file in product.data_dir.glob("temporal.db*"):
                file.unlink()
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
    finally:
        product.stop()


def test_both_workers_and_the_api_may_die_at_once(
    product: KillableProduct, provider: FakeProvider
) -> None:
    product.start()
    try:
        agent = new_agent(product)
        with product.stopped_at("step-committed-1") as reached:
            sending = Sending(product, agent)
            reached()
            for name in ("worker-1", "worker-2", "api"):
                product.kill(name)
        assert_turn_happened_once(product, agent, sending.reply())
        assert_next_message_is_accepted(product, agent)
    finally:
        product.stop()


def test_a_step_that_kills_its_workers_fails_its_run_and_not_the_agent(
    provider: FakeProvider, tmp_path: Path
) -> None:
    product = KillableProduct(tmp_path / "o", provider)
    product.env["O_CRASH_ATTEMPTS"] = "2"
    product.start()
    try:
        agent = new_agent(product)
        for _ in range(2):
            with product.stopped_at("model-called-0") as reached:
                if _ == 0:
                    sending = Sending(product, agent)
                reached()
                product.kill_one("worker", None)
        with pytest.raises(Exception, match="given up"):
            sending.reply()
        assert_next_message_is_accepted(product, agent)
    finally:
        product.stop()
