"""A provider that hangs keeps its own agents waiting, and nobody else."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psutil
import pytest
from letta_client import Letta

from tests.support.hanging import HangingProvider
from tests.support.product import Product, eventually
from tests.support.provider import MODEL, FakeProvider

CALLS = 130
"""More than the calls that one worker makes to one provider at once."""

LIMIT = 100
SIDE_SLOTS = 50


@dataclass
class Beset:
    """One worker, a provider that hangs, one that answers, and one agent of each."""

    product: Product
    hanging: HangingProvider
    hung: str
    well: str

    def send(self, agent_id: str, text: str) -> httpx.Response:
        url = f"{self.product.url}/v1/agents/{agent_id}/messages"
        return httpx.post(url, json={"input": text}, timeout=20)

    def send_to_all(self) -> list[str]:
        """Make more model calls to the provider that hangs than there is room for; their runs."""
        run_ids = []
        with httpx.Client(base_url=f"{self.product.url}/v1", timeout=20) as client:
            for _ in range(CALLS):
                path = f"/conversations/?agent_id={self.hung}"
                conversation = client.post(path, json={}).raise_for_status().json()
                body = {"input": "hello", "background": True, "streaming": True}
                path = f"/conversations/{conversation['id']}/messages"
                with client.stream("POST", path, json=body) as answer:
                    answer.raise_for_status()
            runs = client.get("/runs/", params={"agent_id": self.hung, "limit": 1000}).json()
            run_ids = [run["id"] for run in runs]
        assert len(run_ids) == CALLS
        return run_ids

    def cancel_all(self) -> None:
        httpx.post(
            f"{self.product.url}/v1/agents/{self.hung}/messages/cancel", json={}, timeout=20
        ).raise_for_status()


@pytest.fixture(scope="module")
def beset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beset]:
    well, hanging = FakeProvider(), HangingProvider()
    well.start()
    hanging.start()
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": hanging.url,
        "GROQ_API_KEY": "gsk-test",
        "GROQ_BASE_URL": well.url,
        "O_WORKERS": "1",
        "O_OUTBOUND_ALLOW": "127.0.0.1",
    }
    product = Product(tmp_path_factory.mktemp("beset") / "o", env)
    product.start()
    client = product.client(max_retries=0)
    hung = client.agents.create(model="openai/x")
    other = client.agents.create(model=f"groq/{MODEL}")
    yield Beset(product, hanging, hung.id, other.id)
    product.stop()
    hanging.stop()
    well.stop()


@pytest.mark.timeout(300)
def test_calls_that_hang_leave_room_for_other_providers_and_are_cancelled_at_once(
    beset: Beset,
) -> None:
    beset.send_to_all()
    eventually(lambda: beset.hanging.waiting == LIMIT, what="as many calls as may be made at once")
    for _ in range(3):
        began = time.monotonic()
        answer = beset.send(beset.well, "hello")
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - began < 15, "the other provider's agent does not wait"
    eventually(
        lambda: _ready(beset.product).json().get("waiting_for_room") == {"openai": CALLS - LIMIT},
        what="word of those that wait",
    )
    assert _ready(beset.product).status_code == 200
    beset.cancel_all()
    eventually(lambda: beset.hanging.waiting == 0, within_s=90, what="the end of what is cancelled")
    assert beset.send(beset.well, "and now?").status_code == 200
    eventually(lambda: "waiting_for_room" not in _ready(beset.product).json(), what="room")


@pytest.mark.timeout(120)
async def test_models_that_are_asked_outside_of_turns_keep_nothing_else_of_the_workers_waiting(
    beset: Beset,
) -> None:
    before = beset.hanging.waiting
    source = 'def greet() -> str:\n    """Greet."""\n    return "hello"\n'
    async with httpx.AsyncClient(base_url=f"{beset.product.url}/v1", timeout=90) as client:
        address = f"/agents/{beset.hung}/generate"
        asked = [
            asyncio.ensure_future(client.post(address, json={"prompt": "hello"}))
            for _ in range(SIDE_SLOTS + 10)
        ]
        wanted = before + len(asked)
        await asyncio.to_thread(
            lambda: eventually(lambda: beset.hanging.waiting >= wanted, what="calls that hang")
        )
        ran = await client.post("/tools/run", json={"source_code": source, "args": {}})
        assert (ran.status_code, ran.json()["tool_return"]) == (200, "hello"), ran.text
        answer = await client.post(f"/agents/{beset.well}/generate", json={"prompt": "hello"})
        assert answer.json()["content"] == "You said: hello"
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
    await asyncio.to_thread(
        lambda: eventually(lambda: beset.hanging.waiting <= before, what="the end of the calls")
    )


@pytest.mark.timeout(120)
def test_ready_says_when_no_worker_takes_any_work(beset: Beset) -> None:
    client = beset.product.client(max_retries=0)
    worker = psutil.Process(beset.product.pid_of("worker-1"))
    agents = [client.agents.create(model=f"groq/{MODEL}").id for _ in range(20)]
    worker.suspend()
    try:
        for agent_id in agents:  # more than the tasks that the worker has asked for already
            client.agents.messages.create_async(agent_id, input="hello")
        eventually(lambda: _ready(beset.product).json()["workers"] == "full", what="word of it")
        assert _ready(beset.product).status_code == 200, "what is sent is kept"
        assert _ready(beset.product).json()["longest_wait_s"] > 5
    finally:
        worker.resume()
    eventually(lambda: _ready(beset.product).json()["workers"] == "ok", within_s=60, what="room")


@pytest.mark.timeout(120)
def test_receivers_of_callbacks_that_hang_keep_no_turn_waiting(beset: Beset) -> None:
    client = beset.product.client(max_retries=0)
    url = beset.hanging.url.replace("/v1", "/completions")  # which it counts
    with ThreadPoolExecutor(8) as pool:
        agents = list(pool.map(lambda _: _agent(client), range(8)))
        told = [agents[n % 8] for n in range(LIMIT + 20)]
        list(
            pool.map(
                lambda agent_id: client.agents.messages.create_async(
                    agent_id, input="hello", callback_url=url
                ),
                told,
            )
        )
    eventually(lambda: beset.hanging.waiting >= SIDE_SLOTS, what="callbacks that hang")
    began = time.monotonic()
    assert beset.send(beset.well, "hello").status_code == 200
    assert time.monotonic() - began < 5


def _agent(client: Letta) -> str:
    return str(client.agents.create(model=f"groq/{MODEL}").id)


@pytest.mark.timeout(60)
def test_a_provider_that_does_not_list_its_models_holds_up_no_creation_for_long(
    beset: Beset,
) -> None:
    client = beset.product.client(max_retries=0)
    client.agents.create(model="openai/x")  # the provider is asked, and takes its time
    began = time.monotonic()
    for _ in range(3):
        client.agents.create(model="openai/x")
    assert time.monotonic() - began < 4


def _ready(product: Product) -> httpx.Response:
    return httpx.get(f"{product.url}/v1/ready/")
