"""A disk without room is told, and nobody waits for it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.disk import fill, small_disk
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider


def test_a_full_disk_is_503_with_its_reason_and_not_ready_until_there_is_room(
    tmp_path: Path, provider: FakeProvider
) -> None:
    with small_disk(tmp_path / "disk", 400) as place:
        env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
        product = Product(place / "o", env)
        product.start()
        try:
            _check(product, provider, place)
        finally:
            product.stop()


def test_an_api_that_starts_beside_a_database_without_room_lives_and_says_why(
    tmp_path: Path, provider: FakeProvider
) -> None:
    with small_disk(tmp_path / "disk", 400) as place:
        env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
        product = Product(place / "o", env)
        product.start()
        try:
            agent = product.client().agents.create(model=HANDLE, memory_blocks=[])
            messages = f"{product.url}/v1/agents/{agent.id}/messages"
            fill(place / "filler")
            product.kill("postgres")
            product.kill("api")
            # Who connects before the next process listens waits in the socket for it.
            assert httpx.get(f"{product.url}/v1/health/", timeout=60).status_code == 200
            for answer in (
                httpx.get(f"{product.url}/v1/ready/", timeout=60),
                httpx.post(messages, json={"input": "hello"}, timeout=60),
            ):
                assert answer.status_code == 503
                assert "disk of the database is full" in answer.json()["detail"]
            (place / "filler").unlink()
            ready = f"{product.url}/v1/ready/"
            eventually(
                lambda: httpx.get(ready, timeout=60).status_code == 200, within_s=100, what="room"
            )
            reply = product.client().agents.messages.create(agent.id, input="hello again")
            assert reply.messages[0].content == "You said: hello again"
        finally:
            product.stop()


def _check(product: Product, provider: FakeProvider, place: Path) -> None:
    client = product.client()
    agent, busy = (client.agents.create(model=HANDLE, memory_blocks=[]) for _ in range(2))
    messages = f"{product.url}/v1/agents/{agent.id}/messages"
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == "before it was full"))
    pool = ThreadPoolExecutor(1)
    under_way = pool.submit(
        httpx.post,
        f"{product.url}/v1/agents/{busy.id}/messages",
        json={"input": "before it was full"},
        timeout=30,
    )
    assert held.reached.wait(20)
    fill(place / "filler")
    began = time.monotonic()
    for answer in (
        httpx.get(f"{product.url}/v1/ready/", timeout=10),
        httpx.post(messages, json={"input": "hello"}, timeout=10),
        httpx.post(f"{messages}/stream", json={"input": "hello"}, timeout=10),
    ):
        assert answer.status_code == 503
        assert "disk of the database is full" in answer.json()["detail"]
    assert time.monotonic() - began < 5, "nobody waits"
    assert under_way.result(10).status_code == 503
    assert httpx.get(f"{product.url}/v1/health/").status_code == 200
    (place / "filler").unlink()
    ready = f"{product.url}/v1/ready/"
    eventually(lambda: httpx.get(ready, timeout=10).status_code == 200, what="room")
    held.opened.set()
    (run,) = client.runs.list(agent_id=busy.id).items
    eventually(lambda: client.runs.retrieve(run.id).status == "completed", what="its end")
    reply = client.agents.messages.create(agent.id, input="hello again")
    assert reply.messages[0].content == "You said: hello again"
