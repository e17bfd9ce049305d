"""Embeddings through the official client of OpenAI, and what is refused."""

from typing import Any

import httpx
import pytest
from letta_client import Letta
from openai import APIStatusError, NotFoundError, OpenAI

from tests.support.openai_client import openai_client
from tests.support.product import Product
from tests.support.provider import EMBEDDING_HANDLE, EMBEDDING_MODEL, FakeProvider


@pytest.fixture(scope="module")
def openai(server: Product) -> OpenAI:
    return openai_client(server)


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}, {"dimensions": 3}])
def test_the_official_client_reads_vectors_packed_or_not(
    openai: OpenAI, options: dict[str, Any]
) -> None:
    found = openai.embeddings.create(model=EMBEDDING_HANDLE, input=["tea", "coffee"], **options)
    assert [one.index for one in found.data] == [0, 1]
    assert [one.embedding for one in found.data] == [
        pytest.approx([3, 0.5, -1e-7]),
        pytest.approx([6, 0.5, -1e-7]),
    ]
    assert (found.object, found.model) == ("list", EMBEDDING_HANDLE)
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (2, 2)


@pytest.mark.parametrize(
    ("given", "sent"), [("tea", ["tea"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])]
)
def test_one_text_and_tokens_do_as_well(
    openai: OpenAI, provider: FakeProvider, given: Any, sent: Any
) -> None:
    openai.embeddings.create(model=EMBEDDING_HANDLE, input=given)
    assert {"model": EMBEDDING_MODEL, "input": sent} in provider.embedded


@pytest.mark.parametrize("model", ["openai/unheard-of", "nobody/x", "text-embedding-3-small", ""])
def test_an_unknown_model_is_404_in_openais_shape(openai: OpenAI, model: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        openai.embeddings.create(model=model, input="tea")
    assert refused.value.code == "model_not_found"


def test_what_the_provider_says_is_passed_on(openai: OpenAI) -> None:
    with pytest.raises(APIStatusError, match="scripted failure") as refused:
        openai.embeddings.create(model=EMBEDDING_HANDLE, input=["refuse"])
    assert (refused.value.status_code, refused.value.code) == (400, "llm_bad_request")
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": EMBEDDING_HANDLE},
        {"model": EMBEDDING_HANDLE, "input": []},
        {"model": EMBEDDING_HANDLE, "input": ""},
        {"model": EMBEDDING_HANDLE, "input": ["a", ""]},
        {"model": EMBEDDING_HANDLE, "input": [[1], []]},
        {"model": EMBEDDING_HANDLE, "input": ["a", 1]},
        {"model": EMBEDDING_HANDLE, "input": [-1]},
        {"model": EMBEDDING_HANDLE, "input": {"a": 1}},
        {"model": EMBEDDING_HANDLE, "input": ["a"] * 2_049},
        {"model": EMBEDDING_HANDLE, "input": "a", "dimensions": 0},
        {"model": EMBEDDING_HANDLE, "input": "a", "encoding_format": "hex"},
        {"model": 1, "input": "a"},
        [],
    ],
)
def test_what_is_no_request_is_422_in_openais_shape(http: httpx.Client, body: Any) -> None:
    answer = http.post("/embeddings", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_handle_of_an_embedding_model_is_one_that_v1s_client_lists(
    openai: OpenAI, client: Letta
) -> None:
    _, model = client.models.embeddings.list()  # the local one comes first
    assert model.handle is not None
    assert openai.embeddings.create(model=model.handle, input="tea").data
