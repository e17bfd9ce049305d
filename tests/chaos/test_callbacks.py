"""A client's own server is told of its run, whoever dies on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from letta_client.types.agents import Run

from tests.chaos.killing import KillableProduct, new_agent
from tests.support.product import eventually
from tests.support.provider import FakeProvider
from tests.support.receiver import Receiver

pytestmark = pytest.mark.chaos


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def send(product: KillableProduct, receiver: Receiver) -> Run:
    agent = new_agent(product)
    return product.client().agents.messages.create_async(
        agent.id, input="hello", callback_url=receiver.url("/told")
    )


def assert_told(product: KillableProduct, receiver: Receiver, run: Run, *, times: int) -> None:
    """The receiver received the same so often, and the run says so."""
    eventually(
        lambda: product.query("SELECT callback_sent_at IS NOT NULL FROM runs") == [(True,)],
        what="the record of the callback",
    )
    told = receiver.on("/told")
    assert [one["run_id"] for one in told] == [run.id] * times
    assert all(one == told[0] for one in told)
    found = eventually(lambda: _run(product, run), what="the API's return")
    assert (found.callback_status_code, found.callback_error) == (200, None)


def _run(product: KillableProduct, run: Run) -> Run:
    return product.client(max_retries=12).runs.retrieve(run.id)


def test_a_callback_that_the_api_did_not_live_to_start_is_sent(
    product: KillableProduct, receiver: Receiver
) -> None:
    with product.stopped_at("run-at-rest") as reached:
        run = send(product, receiver)
        reached()
        product.kill("api")
    assert_told(product, receiver, run, times=1)


def test_a_callback_whose_worker_died_before_it_was_recorded_is_sent_again(
    product: KillableProduct, receiver: Receiver
) -> None:
    with product.stopped_at("callback-sent") as reached:
        run = send(product, receiver)
        product.kill_one("worker", reached())
    assert_told(product, receiver, run, times=2)


def test_a_callback_that_waits_for_its_next_try_survives_the_loss_of_temporals_database(
    product: KillableProduct, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    run = send(product, receiver)
    eventually(
        lambda: product.query("SELECT callback_error IS NOT NULL FROM runs") == [(True,)],
        what="the record of the first try",
    )
    product.kill("temporal")
    receiver.received.clear()
    receiver.answer = lambda _: 200
    for file in product.data_dir.glob("temporal.db*"):
        file.unlink()
    assert_told(product, receiver, run, times=1)
