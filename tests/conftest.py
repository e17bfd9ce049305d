"""One product and one provider for all tests that do not kill anything."""

import os
import random
from collections.abc import Iterator

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider
from tests.support.quick_clients import share_certificates
from tests.support.two_apis import TwoApis

share_certificates()

# Drawn once for all the processes that run tests, which have to find the same ones.
os.environ["O_KILL_SEED"] = os.environ.get("O_KILL_SEED") or str(random.randrange(10_000))


@pytest.fixture(scope="session")
def provider() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def server(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """`o up` with the scripted provider."""
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    home = tmp_path_factory.mktemp("product")
    product = Product(home / "o", env | {"O_PIP_FIND_LINKS": str(home / "wheels")})
    product.start()
    second = TwoApis(product) if os.environ.get("O_TEST_API_PROCESSES") == "2" else None
    yield product
    if second is not None:
        second.stop()
    product.stop()


@pytest.fixture(scope="session")
def client(server: Product) -> Letta:
    return server.client(max_retries=0)


@pytest.fixture
def agent(client: Letta) -> AgentState:
    return client.agents.create(
        name="ada",
        model=HANDLE,
        memory_blocks=[
            {"label": "persona", "value": "I am kind."},
            {"label": "human", "value": "Nothing is known yet."},
        ],
    )


@pytest.fixture(autouse=True)
def _problems_of_this_test(request: pytest.FixtureRequest) -> None:
    """What the provider finds wrong is the business of the test that made it so."""
    if "provider" in request.fixturenames:
        found: FakeProvider = request.getfixturevalue("provider")
        found.problems.clear()
