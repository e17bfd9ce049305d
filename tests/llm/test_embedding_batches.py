"""Many texts for models that refuse some of them, or so many, or such long ones."""

from collections.abc import AsyncIterator, Iterator

import pytest

from o.domain.embedding import Refused
from o.errors import Failure, ModelError
from o.llm.embedding.batches import EmbeddingBatches
from o.llm.embedding.embeddings import Embedder
from o.llm.embedding.models import wording_of
from o.llm.providers.providers import Provider
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor


@pytest.fixture
def vendor() -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture
def named(vendor: EmbeddingVendor) -> Provider:
    return Provider("named", "openai", "openai", vendor.url)


@pytest.fixture
async def batches() -> AsyncIterator[EmbeddingBatches]:
    embedder = Embedder(timeout_s=5)
    yield EmbeddingBatches(embedder)
    await embedder.close()


def lengths(found: list[list[float] | Refused]) -> list[int | None]:
    """The texts' lengths, as the vectors tell them."""
    return [None if isinstance(one, Refused) else int(one[0]) - 1 for one in found]


@pytest.mark.parametrize("most", [1, 10, 16, 25])
async def test_a_model_that_takes_fewer_texts_at_once_gets_fewer_and_that_is_remembered(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches, most: int
) -> None:
    vendor.most_inputs = most
    texts = ["x" * n for n in range(40)]
    assert lengths(await batches.embed_each(named, "m", texts)) == list(range(40))
    vendor.asked.clear()
    assert lengths(await batches.embed_each(named, "m", texts)) == list(range(40))
    assert max(map(len, vendor.asked)) <= most


async def test_a_model_that_takes_all_texts_for_one_gets_them_one_by_one(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches
) -> None:
    vendor.faults = {"": "one"}
    assert lengths(await batches.embed_each(named, "m", ["a", "bb", "ccc"])) == [1, 2, 3]


@pytest.mark.parametrize(
    "too_long",
    [
        (400, "the input length exceeds the context length"),
        (413, "Input validation error"),
        (422, "`inputs` must have less than 512 tokens. Given: 534"),
        (500, "internal server error"),
    ],
)
async def test_a_text_that_is_too_long_is_cut_and_the_others_stay_whole(
    vendor: EmbeddingVendor,
    named: Provider,
    batches: EmbeddingBatches,
    too_long: tuple[int, str],
) -> None:
    vendor.most_chars, vendor.too_long = 2_000, too_long
    found = await batches.embed_each(named, "m", ["short", "x" * 20_000, "y" * 1_500])
    assert lengths(found) == [5, 1_250, 1_500]


async def test_many_long_texts_go_in_several_requests(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches
) -> None:
    await batches.embed_each(named, "m", ["x" * 30_000] * 32)
    assert {len(text) for texts in vendor.asked for text in texts} == {24_000}
    assert max(sum(map(len, texts)) for texts in vendor.asked) <= 200_000


@pytest.mark.parametrize("fault", ["zeros", 400, 500])
async def test_one_text_that_a_model_cannot_take_keeps_no_other_from_its_vector(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches, fault: str | int
) -> None:
    vendor.faults = {"poison": fault}
    texts = [*["fine"] * 20, "poison", *["fine"] * 11]
    found = await batches.embed_each(named, "m", texts)
    assert [n for n, one in enumerate(found) if isinstance(one, Refused)] == [20]
    vendor.faults = {}
    vendor.asked.clear()
    await batches.embed_each(named, "m", texts)
    assert len(vendor.asked) == 1, "nothing is held against the model"


@pytest.mark.parametrize("fault", ["zeros", 400, 500])
async def test_a_model_that_takes_no_text_at_all_has_failed(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches, fault: str | int
) -> None:
    vendor.faults = {"": fault}
    with pytest.raises(ModelError):
        await batches.embed_each(named, "m", ["a", "b", "c", "d"])
    assert len(vendor.asked) == 2, "a word was tried, and no half"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, Failure.AUTHENTICATION),
        (404, Failure.NOT_FOUND),
        (429, Failure.RATE_LIMIT),
        (503, Failure.OVERLOADED),
    ],
)
async def test_what_is_about_no_text_is_asked_once(
    vendor: EmbeddingVendor,
    named: Provider,
    batches: EmbeddingBatches,
    status: int,
    failure: Failure,
) -> None:
    vendor.failures = [(status, {"retry-after": "7"})]
    with pytest.raises(ModelError) as failed:
        await batches.embed_each(named, "m", ["a", "b"])
    assert failed.value.failure is failure
    assert len(vendor.asked) == 1
    if failure is Failure.RATE_LIMIT:
        assert failed.value.retry_after_s == 7


async def test_an_accident_does_not_make_batches_small_for_ever(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches
) -> None:
    vendor.failures = [(500, {})]
    texts = ["x"] * 32
    await batches.embed_each(named, "m", texts)
    for _ in range(22):
        await batches.embed_each(named, "m", texts)
    vendor.asked.clear()
    await batches.embed_each(named, "m", texts)
    assert [len(one) for one in vendor.asked] == [32]


async def test_a_vector_that_is_too_long_to_be_kept_is_a_failure_of_the_model(
    vendor: EmbeddingVendor, named: Provider, batches: EmbeddingBatches
) -> None:
    vendor.dimension = 4_097
    with pytest.raises(ModelError, match="over 4096 numbers"):
        await batches.embed_each(named, "m", ["a"])


@pytest.mark.parametrize(
    ("model", "query", "passage"),
    [
        ("nomic-embed-text:latest", "search_query: ", "search_document: "),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
        ("snowflake-arctic-embed2", "query: ", ""),
        ("text-embedding-3-small", "", ""),
        ("bge-m3", "", ""),
    ],
)
def test_models_that_want_words_before_a_text_get_them(
    model: str, query: str, passage: str
) -> None:
    assert (wording_of(model).query, wording_of(model).passage) == (query, passage)
