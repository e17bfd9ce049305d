"""PostgreSQL dies and comes back: who sends waits for it, and nobody meets what is left of it."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from o.ids import DEFAULT_ORGANIZATION_ID
from o.storage.database import libpq_url
from tests.support.organizations import new_key
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider

_TOKEN = "the token of this server"


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_API_TOKEN": _TOKEN,
        "O_DATABASE_PATIENCE_S": "60",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("lost") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def asking(product: Product, how: str) -> Iterator[httpx.Client]:
    """A client with the server's token, in the name of a user, or with a key."""
    key = new_key(product, "write", token=_TOKEN) if how == "key" else _TOKEN
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=product.url, headers=headers, timeout=90) as client:
        if how == "user":
            body = {"name": "ada", "organization_id": DEFAULT_ORGANIZATION_ID}
            client.headers["user_id"] = client.post("/v1/admin/users/", json=body).json()["id"]
        yield client


def kill_postgres(product: Product) -> None:
    os.kill(product.state["processes"]["postgres"], signal.SIGKILL)


def answers(product: Product) -> bool:
    try:
        psycopg.connect(libpq_url(product.state["database_url"])).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("how", ["token", "user", "key"])
def test_sends_wait_for_a_database_that_was_killed_whoever_sends(
    product: Product, asking: httpx.Client
) -> None:
    agents = [asking.post("/v1/agents/", json={"model": HANDLE}).json()["id"] for _ in range(4)]
    kill_postgres(product)
    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(
            lambda n: asking.post(f"/v1/agents/{agents[n % 4]}/messages", json={"input": "hello"}),
            range(8),
        )
    assert [answer.status_code for answer in sent] == [200] * 8


@pytest.mark.parametrize("how", ["token", "key"])
def test_the_first_request_after_the_database_is_back_is_answered(
    product: Product, asking: httpx.Client
) -> None:
    agent = asking.post("/v1/agents/", json={"model": HANDLE}).json()["id"]
    old = product.state["processes"]["postgres"]
    kill_postgres(product)
    eventually(lambda: product.state["processes"].get("postgres") not in {old, None})
    eventually(lambda: answers(product), what="the database")
    assert asking.get(f"/v1/agents/{agent}").status_code == 200
