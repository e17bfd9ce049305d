"""Passages are found by their meaning where a model makes vectors, and by words where none does."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import Product, eventually

# A vector tells of a text how long it is: those as long as the question mean the same.
SHORT, LONG = "a kiwi", "a kiwi that lies between figs and dates, none of which is ripe"


@pytest.fixture
def vendor(server: Product) -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


@pytest.fixture
def archive_id(client: Letta, http: httpx.Client, vendor: EmbeddingVendor) -> Iterator[str]:
    """An archive of two passages that have their vectors."""
    name = new_id("vendor")
    body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    made = http.post("/providers/", json=body).json()
    archive = client.archives.create(name="embedded", embedding=f"{name}/embed-1")
    texts: Any = [{"text": text} for text in (SHORT, LONG)]
    client.archives.passages.create_many(archive.id, passages=texts)
    eventually(
        lambda: http.get(f"/archives/{archive.id}/embedding").json()["done"] == 2,
        what="vectors",
        within_s=60,
    )
    yield archive.id
    http.delete(f"/providers/{made['id']}")


def search(http: httpx.Client, archive_id: str, query: str, mode: str) -> tuple[list[str], Any]:
    body = {"query": query, "archive_id": archive_id, "search_mode": mode}
    answer = http.post("/passages/search", json=body)
    assert answer.status_code == 200, answer.text
    return [one["passage"]["text"] for one in answer.json()], answer


def test_each_mode_finds_what_it_looks_for(http: httpx.Client, archive_id: str) -> None:
    as_long = "x" * len(LONG)
    assert search(http, archive_id, as_long, "vector")[0] == [LONG, SHORT]
    assert search(http, archive_id, as_long, "fts")[0] == []
    found, answer = search(http, archive_id, "figs?", "hybrid")
    assert found[0] == LONG, "it has the word, and the other one its length alone"
    assert answer.headers["x-search-mode"] == "hybrid"
    ranks = answer.json()[0]["metadata"]
    assert (ranks["fts_rank"], ranks["vector_rank"]) == (1, 2)
    assert search(http, archive_id, "figs?", "fts")[1].headers["x-search-mode"] == "text"


def test_a_passage_without_a_vector_is_found_by_its_words(
    http: httpx.Client, server: Product, archive_id: str
) -> None:
    server.query(
        "DELETE FROM passage_vectors USING passages "
        "WHERE passages.id = passage_id AND passages.archive_id = %s AND text = %s",
        *(archive_id, LONG),
    )
    assert search(http, archive_id, "figs and dates", "hybrid")[0] == [LONG, SHORT]


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is another one by now", "knows nothing"])
def test_where_the_model_does_not_answer_words_decide(
    http: httpx.Client, vendor: EmbeddingVendor, archive_id: str, fault: str
) -> None:
    if fault == "hangs":
        vendor.gate.clear()
    elif fault == "is another one by now":
        vendor.dimension += 2
    elif fault == "knows nothing":
        vendor.faults["figs"] = "zeros"
    else:
        vendor.failures += [(401, {})] * 5
    for mode in ("vector", "hybrid"):
        found, answer = search(http, archive_id, "figs", mode)
        assert found == [LONG]
        assert answer.headers["x-search-mode"] == "text"
        assert "embedding model" in answer.headers["x-search-problem"]
        assert answer.json()[0]["metadata"]["search_problem"]
    vendor.gate.set()
