"""Kills while messages get their vectors: each has one in the end, and no more."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.chaos.embedding import post
from tests.chaos.killing import KillableProduct
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider

pytestmark = pytest.mark.chaos

_TEXTS = [f"what was said as number {n:02}" for n in range(40)]


@pytest.fixture(scope="module")
def vendor() -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, vendor: EmbeddingVendor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path_factory.mktemp("recall") / "o", provider)
    product.env |= {"O_DEFAULT_EMBEDDING": "vendor/embed-1", "O_MESSAGE_EMBEDDING": "on"}
    product.start()
    body = {"name": "vendor", "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    eventually(lambda: post(product, "/providers/", body), what="a provider")
    yield product
    product.stop()


@pytest.mark.parametrize(
    ("point", "process"),
    [
        ("message-vectors-unstarted", "worker"),
        ("message-vectors-made", "worker"),
        ("message-vectors-uncommitted", "worker"),
        ("message-vectors-uncommitted", "postgres"),
        ("message-vectors-kept", "temporal"),
    ],
)
def test_a_kill_costs_no_message_its_vector(
    product: KillableProduct, vendor: EmbeddingVendor, point: str, process: str
) -> None:
    vendor.asked.clear()
    with product.stopped_at(point) as reached:
        said = [{"role": "user", "content": text} for text in _TEXTS]
        agent = product.client(max_retries=12).agents.create(
            model=HANDLE,
            initial_message_sequence=said,  # type: ignore[arg-type]
        )
        product.kill_one(process, reached())

    def has_all() -> bool:
        kept = product.query(
            "SELECT message_id, count(*) FROM message_vectors WHERE agent_id = %s GROUP BY 1",
            agent.id,
        )
        waiting = product.query(
            "SELECT FROM messages_to_embed JOIN messages ON id = message_id WHERE agent_id = %s",
            agent.id,
        )
        return not waiting and [count for _, count in kept] == [1] * len(_TEXTS)

    eventually(has_all, within_s=90, what="the vectors")
    asked = Counter(text for texts in vendor.asked for text in texts)
    assert {text: asked[text] for text in _TEXTS if not 1 <= asked[text] <= 2} == {}
