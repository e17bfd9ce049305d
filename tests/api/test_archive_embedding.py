"""Passages get their vectors, and get them anew by another model, whatever their model does."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import Archive

from activities.embedding.archive_work import ArchiveWork
from o.domain.embedding import Refused, Vector
from o.ids import new_id
from o.storage.archives.embedding import list_archives_to_embed, take_archive
from o.storage.database import Database
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, call, do, say

LOCAL = "local/multilingual-e5-small"


@pytest.fixture
def vendor(server: Product) -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


@pytest.fixture
def maker(http: httpx.Client, vendor: EmbeddingVendor) -> Iterator[str]:
    """The name of a provider that is the vendor."""
    name = new_id("vendor")
    body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    made = http.post("/providers/", json=body)
    assert made.status_code == 200, made.text
    yield name
    http.delete(f"/providers/{made.json()['id']}")


@pytest.fixture
def archive(client: Letta, maker: str) -> Archive:
    return client.archives.create(name="embedded", embedding=f"{maker}/embed-1")


def add(client: Letta, archive: Archive, *texts: str) -> list[str]:
    found = client.archives.passages.create_many(
        archive.id, passages=[{"text": text} for text in texts]
    )
    return [str(passage.id) for passage in found]


def progress(http: httpx.Client, archive: Archive) -> dict[str, Any]:
    answer = http.get(f"/archives/{archive.id}/embedding")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def done(http: httpx.Client, archive: Archive, **expected: Any) -> dict[str, Any]:
    """Wait until nothing is left to do."""

    def look() -> dict[str, Any] | None:
        found = progress(http, archive)
        return found if found["is_done"] and found["problem"] == "" else None

    found = eventually(look, what="the end of embedding")
    assert {name: found[name] for name in expected} == expected
    return found


def troubled(http: httpx.Client, archive: Archive) -> str:
    """Wait for a problem."""
    return str(eventually(lambda: progress(http, archive)["problem"], what="a problem"))


def vectors(server: Product, archive: Archive) -> list[tuple[str, str, int]]:
    """Text, handle and length of each vector of an archive."""
    return server.query(
        "SELECT text, handle, vector_dims(embedding) FROM passage_vectors v"
        " JOIN passages p ON p.id = passage_id JOIN vector_spaces s ON s.id = space_id"
        " WHERE v.archive_id = %s ORDER BY text",
        archive.id,
    )


def reembed(http: httpx.Client, archive: Archive, handle: str | None = None) -> dict[str, Any]:
    body = None if handle is None else {"embedding": handle}
    answer = http.post(f"/archives/{archive.id}/reembed", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_passages_get_vectors_a_moment_after_they_are_stored(
    server: Product, client: Letta, http: httpx.Client, vendor: EmbeddingVendor, archive: Archive
) -> None:
    assert progress(http, archive)["is_done"], "there is nothing to do yet"
    texts = [f"text {n:02}" for n in range(70)]
    add(client, archive, *texts)
    found = done(http, archive, total=70, done=70, refused=0, replaces=None, dimension=3)
    assert vectors(server, archive) == [(text, found["embedding"], 3) for text in texts]
    add(client, archive, "one more")
    done(http, archive, total=71, done=71)
    assert [texts for texts in vendor.asked if "one more" in texts] == [["one more"]]


def test_an_archive_without_a_model_waits_for_none(client: Letta, http: httpx.Client) -> None:
    archive = client.archives.create(name="words")
    add(client, archive, "found by its words")
    found = progress(http, archive)
    assert (found["embedding"], found["done"], found["is_done"]) == (None, 0, False)
    assert found["problem"] == ""


def test_a_passage_that_is_deleted_takes_its_vector_along(
    server: Product, client: Letta, http: httpx.Client, archive: Archive
) -> None:
    first, _ = add(client, archive, "goes", "stays")
    done(http, archive, done=2)
    client.archives.passages.delete(first, archive_id=archive.id)
    assert [text for text, *_ in vectors(server, archive)] == ["stays"]
    done(http, archive, total=1, done=1)


def test_one_text_that_the_model_refuses_is_reported_and_tried_again_when_asked(
    server: Product, client: Letta, http: httpx.Client, vendor: EmbeddingVendor, archive: Archive
) -> None:
    vendor.faults = {"poison": 500}
    add(client, archive, *[f"text {n}" for n in range(9)], "poison")
    found = done(http, archive, total=10, done=9, refused=1)
    assert "unsupported value: NaN" in found["refusal"]
    vendor.faults = {}
    assert not reembed(http, archive)["is_done"]
    done(http, archive, done=10, refused=0, refusal="")


def test_a_model_that_fails_is_reported_and_asked_again_later(
    client: Letta, http: httpx.Client, vendor: EmbeddingVendor, archive: Archive
) -> None:
    vendor.failures = [(503, {"retry-after": "1"})]
    add(client, archive, "waits")
    assert "answered with status 503" in troubled(http, archive)
    done(http, archive, done=1, problem="")


def test_a_model_that_is_not_there_is_reported_until_another_one_is_chosen(
    client: Letta, http: httpx.Client, maker: str
) -> None:
    archive = client.archives.create(name="lost", embedding="nobody/x")
    add(client, archive, "waits")
    assert "there is no provider 'nobody'" in troubled(http, archive)
    reembed(http, archive, f"{maker}/embed-1")  # at once, and not when the pause is over
    done(http, archive, done=1, embedding=f"{maker}/embed-1")


def test_an_archive_is_embedded_anew_while_searches_use_what_is_there(
    server: Product,
    client: Letta,
    http: httpx.Client,
    vendor: EmbeddingVendor,
    archive: Archive,
    maker: str,
) -> None:
    first, second = f"{maker}/embed-1", f"{maker}/embed-2"
    gone, *_ = add(client, archive, "a", "b", "c")
    done(http, archive, done=3)
    vendor.dimension = 5
    vendor.gate.clear()
    asked = reembed(http, archive, second)
    assert (asked["embedding"], asked["replaces"], asked["done"]) == (second, first, 0)
    assert not asked["is_done"]
    assert vectors(server, archive) == [("a", first, 3), ("b", first, 3), ("c", first, 3)]
    client.archives.passages.delete(gone, archive_id=archive.id)
    add(client, archive, "d")
    vendor.gate.set()
    done(http, archive, embedding=second, replaces=None, total=3, done=3, dimension=5)
    eventually(
        lambda: vectors(server, archive) == [(text, second, 5) for text in ("b", "c", "d")],
        what="the end of the old vectors",
    )
    config: Any = client.archives.retrieve(archive.id).embedding_config
    assert config.handle == second


def test_another_model_can_be_chosen_with_what_else_an_archive_is(
    client: Letta, http: httpx.Client, archive: Archive, maker: str
) -> None:
    add(client, archive, "a")
    done(http, archive, done=1)
    body = {"name": "anew", "embedding": f"{maker}/embed-2"}
    changed = http.patch(f"/archives/{archive.id}", json=body).json()
    assert changed["embedding_config"]["handle"] == f"{maker}/embed-2"
    done(http, archive, done=1, embedding=f"{maker}/embed-2")


def test_what_an_agent_keeps_is_embedded_by_its_model(
    client: Letta, http: httpx.Client, maker: str
) -> None:
    agent = client.agents.create(
        model=HANDLE, embedding=f"{maker}/embed-1", tools=["archival_memory_insert"]
    )
    keep = call("archival_memory_insert", content="Ada likes tea.", tags=["ada"])
    client.agents.messages.create(agent.id, input=do(keep, say("done")))
    (archive,) = client.archives.list(agent_id=agent.id)
    done(http, archive, done=1)
    # Its next model is for the next archive.
    client.agents.update(agent.id, embedding=f"{maker}/embed-2")
    client.agents.passages.create(agent.id, text="Ada likes coffee, too.")
    done(http, archive, done=2, embedding=f"{maker}/embed-1")
    config: Any = client.archives.retrieve(archive.id).embedding_config
    assert config.handle == f"{maker}/embed-1"


def test_what_a_client_has_an_agents_tool_keep_is_embedded_at_once(
    server: Product, client: Letta, http: httpx.Client, maker: str
) -> None:
    tool = "archival_memory_insert"
    agent = client.agents.create(model=HANDLE, embedding=f"{maker}/embed-1", tools=[tool])
    client.agents.passages.create(agent.id, text="Ada likes tea.")
    (archive,) = client.archives.list(agent_id=agent.id)
    done(http, archive, done=1)
    # As if somebody were at it: the sweeper leaves it alone.
    server.query(
        "UPDATE archives SET embed_after = now() + interval '1 hour' WHERE id = %s", archive.id
    )
    run = client.agents.tools.run(tool, agent_id=agent.id, args={"content": "Bob does not."})
    assert run.status == "success"
    done(http, archive, done=2)


async def _found(server: Product, *, has_default: bool) -> list[str]:
    database = Database(server.state["database_url"])
    try:
        async with database.connect() as connection:
            return await list_archives_to_embed(
                connection, has_default=has_default, older_than_s=0, limit=10_000
            )
    finally:
        await database.close()


@pytest.mark.parametrize("handle", [None, "letta/letta-free"])
def test_archives_without_a_model_are_found_when_there_is_a_default_one(
    server: Product, client: Letta, handle: str | None
) -> None:
    archive = client.archives.create(name="words", embedding=handle)
    add(client, archive, "a")
    waits = "SELECT 1 FROM archives WHERE id = %s AND embed_after = 'infinity'"
    eventually(lambda: server.query(waits, archive.id), what="that it is left alone")
    assert archive.id not in asyncio.run(_found(server, has_default=False))
    # Its workflow may look at it once more, and hold it for as long.
    eventually(
        lambda: archive.id in asyncio.run(_found(server, has_default=True)),
        what="that it is found",
    )


def test_a_model_whose_vectors_become_longer_has_all_of_them_made_anew(
    server: Product, client: Letta, http: httpx.Client, vendor: EmbeddingVendor, archive: Archive
) -> None:
    add(client, archive, "a", "b")
    done(http, archive, done=2, dimension=3)
    vendor.dimension = 4
    add(client, archive, "c")
    eventually(lambda: progress(http, archive)["dimension"] == 4, what="the other length")
    done(http, archive, done=3)
    eventually(
        lambda: [length for *_, length in vectors(server, archive)] == [4, 4, 4],
        what="the end of the old vectors",
    )


def test_the_local_model_embeds_and_v1s_own_handles_stand_for_the_default_one(
    server: Product, client: Letta, http: httpx.Client
) -> None:
    archive = client.archives.create(name="local", embedding=LOCAL)
    add(client, archive, "Ada lives in Lyon.", "x\u0000y")
    done(http, archive, done=2, dimension=384, embedding=LOCAL)
    hosted = client.archives.create(name="hosted", embedding="letta/letta-free")
    add(client, hosted, "there is no default one here")
    assert "O_DEFAULT_EMBEDDING" in troubled(http, hosted)
    reembed(http, archive, "letta/letta-free")
    assert "letta/letta-free stands for" in troubled(http, archive)
    reembed(http, archive, LOCAL)
    done(http, archive, done=2, embedding=LOCAL)


def test_who_asks_for_what_is_not_there_is_told(
    client: Letta, http: httpx.Client, archive: Archive
) -> None:
    unknown = new_id("archive")
    assert http.get(f"/archives/{unknown}/embedding").status_code == 404
    assert http.post(f"/archives/{unknown}/reembed", json={}).status_code == 404
    for handle in ("nobody/x", "x", ""):
        answer = http.post(f"/archives/{archive.id}/reembed", json={"embedding": handle})
        assert answer.status_code == 404, answer.text
        body = {"name": "not renamed either", "embedding": handle}
        assert http.patch(f"/archives/{archive.id}", json=body).status_code == 404
    assert client.archives.retrieve(archive.id).name == archive.name
    client.archives.delete(archive.id)
    assert http.get(f"/archives/{archive.id}/embedding").status_code == 404
    with pytest.raises(NotFoundError):
        client.archives.retrieve(archive.id)


def test_the_local_model_is_listed_and_makes_vectors_for_openais_clients(
    http: httpx.Client,
) -> None:
    (local,) = [one for one in http.get("/models/embedding").json() if one["handle"] == LOCAL]
    assert (local["embedding_dim"], local["provider_name"]) == (384, "local")
    body: dict[str, Any] = {"model": LOCAL, "input": ["tea", "a\u0000b"]}
    found = http.post("/embeddings", json=body).json()
    assert [len(one["embedding"]) for one in found["data"]] == [384, 384]
    assert http.post("/embeddings", json=body | {"dimensions": 3}).status_code == 422
    assert http.post("/embeddings", json=body | {"input": [1, 2]}).status_code == 422


class DefaultIs:
    """Embeds like the model `handle`, which V1's own handles stand for."""

    def __init__(self, handle: str) -> None:
        self._handle = handle

    async def resolve(self, handle: str | None, organization_id: str) -> str | None:
        return self._handle

    async def embed(
        self,
        handle: str,
        organization_id: str,
        texts: Sequence[str],
        *,
        is_query: bool,
        mark: str | None = None,
    ) -> list[Vector]:
        return [[1.0, 2.0, 3.0] for _ in texts]

    async def embed_each(
        self, handle: str, organization_id: str, texts: Sequence[str]
    ) -> list[Vector | Refused]:
        return [*await self.embed(handle, organization_id, texts, is_query=False)]


async def _no_index(space_id: int) -> None:
    """These are few."""


async def test_a_model_that_is_named_as_v1_does_is_known_by_its_own_handle(
    client: Letta, http: httpx.Client, server: Product, archive: Archive
) -> None:
    add(client, archive, "a", "b")
    handle = done(http, archive)["embedding"]
    assert reembed(http, archive, "letta/letta-free")["replaces"] == handle
    database = Database(server.state["database_url"])
    try:
        async with database.connect() as connection:
            taken = await take_archive(connection, archive.id, lease_s=60)
        assert taken is not None
        work = ArchiveWork(database, DefaultIs(handle), _no_index, taken)
        assert await work.aim() == handle
        assert await work.go_on(for_s=20)
    finally:
        await database.close()
    done(http, archive, embedding=handle, replaces=None, done=2, dimension=3)
