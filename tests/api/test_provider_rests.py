"""A provider that fails for many is left alone for a while, by all workers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from letta_client import Letta

from tests.api.test_failing_models import said, send
from tests.api.test_fallback_models import FALLBACK
from tests.support.failing import Failing, FailingProvider
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

BUSY = Failing(503, {"type": "overloaded_error", "message": "busy"})


@pytest.fixture
def first() -> Iterator[FailingProvider]:
    provider = FailingProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def second() -> Iterator[FailingProvider]:
    provider = FailingProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def product(
    first: FailingProvider, second: FailingProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Two workers and a provider that rests when three conversations find it busy."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": first.url,
        "GROQ_API_KEY": "gsk-test",
        "GROQ_BASE_URL": second.url,
        "O_WORKERS": "2",
        "O_PROVIDER_REST_CONVERSATIONS": "3",
    }
    product = Product(tmp_path_factory.mktemp("rests") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def letta(product: Product) -> Letta:
    return product.client(max_retries=0)


def rests(product: Product) -> list[tuple[Any, ...]]:
    return product.query("SELECT provider, rests, until > now() FROM provider_rests")


@pytest.mark.timeout(180)
def test_nobody_asks_a_provider_that_rests_and_all_are_answered_when_it_is_back(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=BUSY)
    second.fail()
    agents = [letta.agents.create(model=HANDLE) for _ in range(4)]
    settings: Any = FALLBACK
    other = letta.agents.create(model=HANDLE, model_settings=settings)
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, product, agent, "hello") for agent in agents[:3]]
        eventually(lambda: rests(product) == [("openai", 1, True)], what="the rest")
        asked = first.taken
        assert 3 <= asked <= 9
        sent.append(pool.submit(send, product, agents[3], "hello"))
        began = time.monotonic()
        assert said(send(product, other, "hello")) == ["You said: hello"]
        assert time.monotonic() - began < 4, "an agent that has another model does not wait"
        assert (first.taken, second.taken) == (asked, 1)
        first.fail()
        for answer in sent:
            assert said(answer.result(120)) == ["You said: hello"]
    assert first.taken == 4, "one call found that it is back, and nobody asked in vain"
    eventually(lambda: rests(product) == [], what="the end of the rest")
    attempts = product.query("SELECT attempts - failures FROM steps WHERE status = 'success'")
    assert {left for (left,) in attempts} == {1}, "looks do not count as attempts"


@pytest.mark.timeout(180)
def test_a_rest_that_ends_in_vain_is_followed_by_a_longer_one(
    product: Product, first: FailingProvider, letta: Letta
) -> None:
    first.fail(always=BUSY)
    agents = [letta.agents.create(model=HANDLE) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(send, product, agent, "hello") for agent in agents]
        eventually(lambda: rests(product) == [("openai", 1, True)], what="the first rest")
        asked = first.taken
        eventually(lambda: rests(product) == [("openai", 2, True)], what="the second rest")
        assert first.taken == asked + 1, "one call tried it"
        first.fail()
        for answer in sent:
            assert said(answer.result(120)) == ["You said: hello"]


def test_failures_with_successes_between_them_make_no_rest(
    product: Product, first: FailingProvider, letta: Letta
) -> None:
    agents = [letta.agents.create(model=HANDLE) for _ in range(4)]
    for agent in agents:
        first.fail(BUSY)
        assert said(send(product, agent, "hello")) == ["You said: hello"]
        eventually(lambda: rests(product) == [], what="the success that is noted")
