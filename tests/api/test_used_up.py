"""What is used up is told, with when to ask again; what was accepted goes on when there is more."""

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.errors import install_error_handlers
from o.ids import DEFAULT_ORGANIZATION_ID
from o.storage.database import libpq_url
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider
from tests.support.two_apis import AnotherApi


@pytest.fixture
def impatient(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """A product that waits a second for its database."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_DATABASE_PATIENCE_S": "1",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("impatient") / "o", env)
    product.start()
    yield product
    product.stop()


def take_free(stack: ExitStack, url: str) -> None:
    while True:
        stack.enter_context(psycopg.connect(url))


def take_all(stack: ExitStack, url: str) -> psycopg.Connection[object]:
    """Take every connection of a server and end those of others, until none of them has one."""
    first = stack.enter_context(psycopg.connect(url, autocommit=True))
    others = "backend_type = 'client backend' AND application_name LIKE 'o %'"
    for _ in range(1_000):
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            take_free(stack, url)
        ended = first.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
        ).fetchall()
        if not ended:
            return first
    raise AssertionError("others have connections still")


def test_without_a_connection_of_the_database_work_is_refused_and_goes_on_when_there_are_some(
    impatient: Product, provider: FakeProvider
) -> None:
    client = impatient.client(max_retries=0)
    agent, busy = (client.agents.create(model=HANDLE, memory_blocks=[]) for _ in range(2))
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == "accepted"))
    run = client.agents.messages.create_async(busy.id, input="accepted")
    assert held.reached.wait(60)
    messages = f"{impatient.url}/v1/agents/{agent.id}/messages"
    with ExitStack() as stack:
        take_all(stack, libpq_url(impatient.state["database_url"]))
        held.opened.set()
        with ThreadPoolExecutor(8) as pool:
            answers = [
                *pool.map(
                    lambda _: httpx.post(messages, json={"input": "x"}, timeout=60), range(7)
                ),
                httpx.get(f"{impatient.url}/v1/agents/{agent.id}", timeout=60),
            ]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
        assert "no connection left" in answers[-1].json()["detail"]
        assert httpx.get(f"{impatient.url}/v1/health/", timeout=60).status_code == 200
        assert httpx.get(f"{impatient.url}/v1/ready/", timeout=60).status_code == 503
    ready = f"{impatient.url}/v1/ready/"
    eventually(lambda: httpx.get(ready, timeout=60).status_code == 200, within_s=60, what="room")
    eventually(
        lambda: client.runs.retrieve(str(run.id)).status == "completed",
        within_s=120,
        what="the end of what was accepted",
    )
    reply = impatient.client().agents.messages.create(agent.id, input="hello again")
    assert reply.messages[-1].content == "You said: hello again"


def test_who_names_a_user_waits_for_no_second_connection(server: Product) -> None:
    body = {"name": "Ada", "organization_id": DEFAULT_ORGANIZATION_ID}
    user = httpx.post(f"{server.url}/v1/admin/users/", json=body, timeout=60).json()
    api = AnotherApi(server, O_DATABASE_POOL="1")
    try:
        ada = httpx.Client(base_url=api.url, headers={"user_id": user["id"]}, timeout=20)
        block = ada.post("/v1/blocks/", json={"label": "x", "value": "x"}).json()
        assert ada.get(f"/v1/blocks/{block['id']}").status_code == 200
        assert ada.delete(f"/v1/blocks/{block['id']}").status_code == 200
    finally:
        api.stop()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EMFILE, "too many"), OSError(errno.ENOSPC, "no space")],
    ids=["memory", "descriptors", "disk"],
)
def test_a_request_that_finds_something_used_up_is_told_to_come_again(error: Exception) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "left for this; try again" in answer.json()["detail"]
