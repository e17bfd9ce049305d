"""Any process killed at any point of a turn costs nothing."""

from collections.abc import Iterator

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
from tests.support.product import is_alive
from tests.support.provider import FakeProvider

pytestmark = pytest.mark.chaos

POINTS = ["run-stored", "model-called-2", "step-committed-1", "tool-committed-2", "run-closed"]
PROCESSES = ["worker", "api", "temporal", "postgres", "supervisor"]


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path_factory.mktemp("chaos") / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_costs_nothing(
    product: KillableProduct, provider: FakeProvider, point: str, process: str
) -> None:
    agent = new_agent(product)
    asked_before, problems_before = provider.asked(TURN), len(provider.problems)
    with product.stopped_at(point) as reached:
        sending = Sending(product, agent)
        stopped_pid = reached()
        killed = product.kill_one(process, stopped_pid)
        assert not is_alive(killed)
    reply = sending.reply()
    assert_turn_happened_once(product, agent, reply)
    asked = provider.asked(TURN) - asked_before
    repeated = 1 if point.startswith("model-called") else 0
    assert STEPS <= asked <= STEPS + repeated
    assert provider.problems[problems_before:] == []
    assert_next_message_is_accepted(product, agent)
