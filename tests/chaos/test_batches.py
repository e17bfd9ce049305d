"""A batch is there with all its runs or not at all, and each is answered once, whoever dies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.killing import Background, KillableProduct, patient_client
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider, last_user_text

pytestmark = pytest.mark.chaos

TEXTS = [f"request {n}" for n in range(10)]


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


def sending(product: KillableProduct) -> Background[Any]:
    """A batch of ten requests to five agents, which its client repeats until it is answered."""
    client = patient_client(product)
    agents = [client.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(5)]
    requests = [{"agent_id": agents[n % 5], "input": text} for n, text in enumerate(TEXTS)]
    body = {"requests": requests}
    return Background(lambda: client.post("/v1/messages/batches", cast_to=object, body=body))


def assert_all_answered_once(product: KillableProduct, batch: Any) -> None:
    client = patient_client(product)
    path = f"/v1/messages/batches/{batch['id']}"

    def look() -> Any:
        found: Any = client.get(path, cast_to=object)
        return found if found["status"] == "completed" else None

    done = eventually(look, within_s=90, what="the end of the batch")
    assert done["metadata"]["runs"]["completed"] == len(TEXTS)
    listed: Any = client.get(f"{path}/messages", cast_to=object)
    said = [message["content"][0]["text"] for message in listed["messages"]]
    assert sorted(said) == sorted(f"You said: {text}" for text in TEXTS)
    assert product.query("SELECT count(*) FROM runs") == [(len(TEXTS),)]
    assert product.query("SELECT count(*) FROM batches") == [(1,)]
    assert product.query("SELECT count(*) FROM messages WHERE role = 'user'") == [(len(TEXTS),)]
    in_turn = (
        "SELECT count(*) FROM messages one JOIN messages other USING (conversation_id) "
        "WHERE one.role = 'user' AND other.role = 'user' AND one.position < other.position "
        "AND one.parts->0->>'text' > other.parts->0->>'text'"
    )
    assert product.query(in_turn) == [(0,)], "those of one agent come in the order of the batch"


def test_a_batch_is_answered_once_though_its_workers_are_killed_in_the_middle(
    product: KillableProduct, provider: FakeProvider
) -> None:
    held = TEXTS[1], TEXTS[7]
    gates = [provider.hold(lambda prompt: last_user_text(prompt) in held) for _ in held]
    batch = sending(product).result()
    for gate in gates:
        assert gate.reached.wait(30)
    for worker in ("worker-1", "worker-2", "worker-1"):
        product.kill(worker)
    for gate in gates:
        gate.opened.set()
    assert_all_answered_once(product, batch)
    assert not provider.problems


def test_a_batch_is_carried_out_though_the_api_died_before_it_told_anybody(
    product: KillableProduct,
) -> None:
    with product.stopped_at("run-stored") as reached:
        posting = sending(product)
        pid = reached()
        product.kill_one("api", pid)
    assert_all_answered_once(product, posting.result())
