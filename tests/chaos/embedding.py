"""An archive in a product whose processes die, and what must hold of its vectors."""

from collections import Counter

import httpx

from o.ids import new_id
from tests.chaos.killing import KillableProduct
from tests.support.embedding_vendor import EmbeddingVendor
from tests.support.product import eventually

_TEXTS = [f"text {n:02}" for n in range(40)]


def maker_of(product: KillableProduct, vendor: EmbeddingVendor) -> str:
    """The name of a new provider that is the vendor."""
    name = new_id("vendor")
    body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    eventually(lambda: post(product, "/providers/", body), what="a provider")
    return name


def post(product: KillableProduct, path: str, body: object) -> httpx.Response | None:
    """The answer, None while the API or what it needs is on its way back."""
    try:
        answer = httpx.post(f"{product.url}/v1{path}", json=body, timeout=30)
    except httpx.TransportError:
        return None
    return answer if answer.status_code == 200 else None


def archive_with_passages(product: KillableProduct, embedding: str) -> str:
    client = product.client(max_retries=12)
    archive = client.archives.create(name="embedded", embedding=embedding)
    client.archives.passages.create_many(archive.id, passages=[{"text": one} for one in _TEXTS])
    return archive.id


def await_vectors(product: KillableProduct, archive_id: str, embedding: str) -> None:
    """Wait until each passage has one vector, by that model, and nothing else is left."""

    def look() -> bool:
        found = product.query(
            "SELECT handle FROM passage_vectors v JOIN vector_spaces s ON s.id = space_id"
            " WHERE v.archive_id = %s",
            archive_id,
        )
        left = product.query(
            "SELECT 1 FROM archives WHERE id = %s AND embed_after IS NOT NULL UNION ALL"
            " SELECT 1 FROM passages_to_embed WHERE archive_id = %s",
            archive_id,
            archive_id,
        )
        return not left and [handle for (handle,) in found] == [embedding] * len(_TEXTS)

    eventually(look, within_s=60, what="the vectors")


def asked_at_most(vendor: EmbeddingVendor, times: int) -> None:
    asked = Counter(text for texts in vendor.asked for text in texts)
    assert {text: asked[text] for text in _TEXTS if not 1 <= asked[text] <= times} == {}
