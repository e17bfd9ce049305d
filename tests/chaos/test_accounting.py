"""A worker or PostgreSQL dies around the commit of a step: its cost is paid and counted once."""

from collections.abc import Iterator

import httpx
import pytest
from letta_client.types import AgentState

from tests.chaos.killing import KillableProduct, Sending
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider, costing, do, last_user_text, say

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path_factory.mktemp("accounting") / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize("point", ["step-uncommitted-0", "step-committed-0"])
def test_a_step_that_is_taken_again_is_charged_once(
    product: KillableProduct, provider: FakeProvider, point: str
) -> None:
    agent: AgentState = product.client().agents.create(model=HANDLE)
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    text = do(costing(say("done"), **tokens, cost=0.5))
    asked = provider.asked(text)
    with product.stopped_at(point) as reached:
        sending = Sending(product, agent, text)
        product.kill_one("worker", reached())
    reply = sending.reply()
    total = httpx.get(f"{product.url}/v1/usage", params={"agent_id": agent.id}).json()["total"]
    assert (total["calls"], total["total_tokens"], total["cost_usd"]) == (1, 120, "0.500000000")
    run_id = reply.messages[-1].run_id
    usage = httpx.get(f"{product.url}/v1/runs/{run_id}/usage").json()
    assert (usage["step_count"], usage["cost_usd"]) == (1, "0.500000000")
    assert provider.asked(text) - asked == (1 if point == "step-committed-0" else 2)


def test_a_reply_is_kept_for_a_database_that_is_away_and_not_asked_for_again(
    product: KillableProduct, provider: FakeProvider
) -> None:
    agent: AgentState = product.client().agents.create(model=HANDLE)
    text = do(say("paid for once"))
    gate = provider.hold(lambda prompt: last_user_text(prompt) == text)
    sending = Sending(product, agent, text)
    eventually(gate.reached.is_set, what="a model call under way")
    product.kill("postgres")
    gate.opened.set()
    assert "paid for once" in str(sending.reply().messages[-1])
    assert provider.asked(text) == 1
