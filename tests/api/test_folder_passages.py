"""What files say is embedded, found where it is to be, and gone when its file is."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta

from o.ids import DEFAULT_ORGANIZATION_ID, new_id
from o.storage.database import Database
from o.storage.search.archival import PassageQuery, PassageSearch
from o.storage.search.query_vectors import QueryVectors
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import Product, eventually

_PASSAGES = """
INSERT INTO passages (id, organization_id, archive_id, file_id, ordinal, text, key, created_at,
    updated_at)
SELECT 'passage-' || gen_random_uuid(), files.organization_id, folders.archive_id, files.id, n,
    'kumquat ' || n, n::text, now(), now()
FROM files JOIN folders ON folders.id = files.folder_id, generate_series(1, %s) AS n
WHERE files.id = %s
"""


@pytest.fixture
def folder(client: Letta) -> Any:
    return client.folders.create(name=new_id("folder"))


@pytest.fixture
def vendor(server: Product) -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture
def embedding(server: Product, vendor: EmbeddingVendor) -> Iterator[str]:
    """The handle of a model of the vendor's."""
    name = new_id("vendor")
    body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    made = httpx.post(f"{server.url}/v1/providers/", json=body, timeout=30).json()
    yield f"{name}/embed-1"
    httpx.delete(f"{server.url}/v1/providers/{made['id']}", timeout=30)


def upload(client: Letta, folder: Any, said: str, name: str = "a.txt") -> str:
    file = (name, said.encode(), "text/plain")
    return str(client.folders.files.upload(folder.id, file=file).id)


def status_of(client: Letta, folder: Any, file_id: str) -> Any:
    return client.folders.files.retrieve(file_id, folder_id=folder.id)


def read(client: Letta, folder: Any, file_id: str) -> Any:
    """The file, once it is read and embedded."""
    return eventually(
        lambda: (
            found
            if (found := status_of(client, folder, file_id)).processing_status == "completed"
            else None
        ),
        within_s=60,
        what="a file that is complete",
    )


def archive_of(server: Product, folder: Any) -> str:
    ((archive_id,),) = server.query("SELECT archive_id FROM folders WHERE id = %s", folder.id)
    return str(archive_id)


async def found_by_words(server: Product, archive_ids: list[str] | None, query: str) -> list[str]:
    """The texts that a search brings, as an agent's tool searches."""
    database = Database(server.state["database_url"])
    searches = PassageSearch(database, QueryVectors(None, timeout_s=1), timeout_s=20)
    try:
        results = await searches.search(
            DEFAULT_ORGANIZATION_ID, archive_ids, PassageQuery(query, 10)
        )
    finally:
        await database.close()
    return [one.passage.text for one in results.found]


def test_a_file_is_embedded_by_the_model_of_its_folder(
    server: Product, client: Letta, vendor: EmbeddingVendor, embedding: str
) -> None:
    folder = client.folders.create(name=new_id("folder"), embedding=embedding)
    vendor.gate.clear()
    file_id = upload(client, folder, "Ada likes tea.")
    waiting = eventually(
        lambda: (
            found
            if (found := status_of(client, folder, file_id)).processing_status == "embedding"
            else None
        ),
        within_s=60,
        what="a file that waits for its vectors",
    )
    assert (waiting.total_chunks, waiting.chunks_embedded) == (1, 0)
    vendor.gate.set()
    done = read(client, folder, file_id)
    assert (done.total_chunks, done.chunks_embedded) == (1, 1)
    ((vectors,),) = server.query(
        "SELECT count(*) FROM passage_vectors WHERE archive_id = %s", archive_of(server, folder)
    )
    assert vectors == 1
    # With another model, vectors are made anew.
    other = embedding.replace("embed-1", "embed-2")
    client.folders.update(folder.id, extra_body={"embedding": other})
    assert client.folders.retrieve(folder.id).embedding_config.handle == other
    eventually(
        lambda: (
            server.query(
                "SELECT count(*) FROM vector_spaces JOIN archives ON archives.space_id = "
                "vector_spaces.id WHERE archives.id = %s AND handle = %s",
                archive_of(server, folder),
                other,
            )
            == [(1,)]
        ),
        within_s=60,
        what="vectors by another model",
    )


def test_why_a_file_waits_for_its_vectors_is_told(
    client: Letta, vendor: EmbeddingVendor, embedding: str
) -> None:
    vendor.failures[:] = [(401, {})] * 1_000
    folder = client.folders.create(name=new_id("folder"), embedding=embedding)
    file_id = upload(client, folder, "Ada likes tea.")
    told = eventually(
        lambda: found if (found := status_of(client, folder, file_id)).error_message else None,
        within_s=60,
        what="a word of the failing model",
    )
    assert told.processing_status == "embedding"
    vendor.failures.clear()


async def test_a_deleted_file_is_found_by_no_search_before_it_is_purged(
    server: Product, client: Letta, folder: Any
) -> None:
    gone, kept = (upload(client, folder, f"A kumquat, {n}.", f"{n}.txt") for n in (1, 2))
    for file_id in (gone, kept):
        read(client, folder, file_id)
    where = [archive_of(server, folder)]
    assert sorted(await found_by_words(server, where, "kumquat")) == [
        "A kumquat, 1.",
        "A kumquat, 2.",
    ]
    # Marked, and out of the sweeper's reach: as it is in the moment behind the deletion.
    server.query("UPDATE files SET deleted_at = now() + interval '1 day' WHERE id = %s", gone)
    for query in ("kumquat", ""):
        assert await found_by_words(server, where, query) == ["A kumquat, 2."]
    shown: Any = client.get(f"/v1/folders/{folder.id}/passages", cast_to=object)
    assert [passage["file_id"] for passage in shown] == [kept]
    server.query("UPDATE files SET deleted_at = now() WHERE id = %s", gone)


async def test_no_search_of_archives_finds_what_files_say(
    server: Product, client: Letta, folder: Any
) -> None:
    word = new_id("w").replace("-", "")
    archive = client.archives.create(name="beside folders")
    client.archives.passages.create(archive.id, text=f"archived {word}")
    read(client, folder, upload(client, folder, f"filed {word}"))
    assert await found_by_words(server, None, word) == [f"archived {word}"]
    assert await found_by_words(server, [archive_of(server, folder)], word) == [f"filed {word}"]
    newest = await found_by_words(server, None, "")
    assert f"filed {word}" not in newest


def test_what_a_deleted_file_holds_goes_in_pieces_and_nothing_else(
    server: Product, client: Letta, folder: Any
) -> None:
    gone, kept = (upload(client, folder, f"{n}", f"{n}.txt") for n in (1, 2))
    for file_id in (gone, kept):
        read(client, folder, file_id)
    server.query(_PASSAGES, 1_700, gone)
    client.folders.files.delete(gone, folder_id=folder.id)

    def is_purged() -> bool:
        ((files, passages),) = server.query(
            "SELECT (SELECT count(*) FROM files WHERE id = %s), "
            "(SELECT count(*) FROM passages WHERE file_id = %s)",
            gone,
            gone,
        )
        return (files, passages) == (0, 0)

    eventually(is_purged, within_s=60, what="the purge")
    ((count,),) = server.query(
        "SELECT passage_count FROM archives WHERE id = %s", archive_of(server, folder)
    )
    assert count == 1
    assert status_of(client, folder, kept).id == kept


def test_a_deleted_folder_leaves_nothing_behind(
    server: Product, client: Letta, folder: Any
) -> None:
    archive_id = archive_of(server, folder)
    file_id = upload(client, folder, "x")
    read(client, folder, file_id)
    server.query(_PASSAGES, 700, file_id)
    client.folders.delete(folder.id)

    def left() -> list[tuple[Any, ...]]:
        return server.query(
            "SELECT id FROM folders WHERE id = %s UNION SELECT id FROM archives WHERE id = %s "
            "UNION SELECT id FROM files WHERE id = %s UNION "
            "SELECT id FROM passages WHERE archive_id = %s UNION "
            "SELECT file_id FROM file_contents WHERE file_id = %s",
            folder.id,
            archive_id,
            file_id,
            archive_id,
            file_id,
        )

    eventually(lambda: not left(), within_s=60, what="the purge")


def test_passages_of_a_folder_are_paged_in_both_directions(
    server: Product, client: Letta, folder: Any
) -> None:
    file_id = upload(client, folder, "x")
    read(client, folder, file_id)
    server.query(_PASSAGES, 6, file_id)
    path = f"/v1/folders/{folder.id}/passages"

    def ids(**params: Any) -> list[str]:
        found: Any = client.get(path, cast_to=object, options={"params": params})
        return [passage["id"] for passage in found]

    everything = ids()
    assert len(everything) == 7
    assert ids(order="asc") == everything[::-1]
    assert ids(limit=3, after=everything[2]) == everything[3:6]
    assert ids(limit=3, before=everything[2]) == everything[:2]
