"""What an archive holds twice is told, by words and by vectors."""

from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import Archive

from o.ids import new_id
from o.storage.database import Database
from o.storage.search.space_index import make_space_index
from tests.support.product import Product, eventually
from tests.support.provider import EMBEDDING_HANDLE


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def archive(client: Letta) -> Archive:
    return client.archives.create(name="of a test")


def add(client: Letta, archive: Archive, *texts: str) -> list[str]:
    passages: Any = [{"text": text} for text in texts]
    made = client.archives.passages.create_many(archive.id, passages=passages)
    return [str(passage.id) for passage in made]


def told(http: httpx.Client, archive: Archive, **asked: Any) -> list[tuple[str, list[str]]]:
    """The texts of each passage and of its duplicates, over all pages."""
    found = []
    while True:
        answer = http.get(f"/v1/archives/{archive.id}/duplicates", params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for one in page["duplicates"]:
            others = [other["passage"]["text"] for other in one["others"]]
            found.append((one["passage"]["text"], others))
        if page["after"] is None:
            return found
        asked["after"] = page["after"]


def place(server: Product, archive: Archive, vectors: dict[str, list[float]]) -> None:
    """Give passages vectors, as embedding does."""
    dimension = len(next(iter(vectors.values())))
    ((space,),) = server.query(
        "INSERT INTO vector_spaces (organization_id, handle, dimension) "
        "SELECT organization_id, %s, %s FROM archives WHERE id = %s RETURNING id",
        new_id("model"),
        dimension,
        archive.id,
    )
    for passage_id, vector in vectors.items():
        server.query(
            "INSERT INTO passage_vectors (passage_id, space_id, archive_id, embedding) "
            "VALUES (%s, %s, %s, %s::vector)",
            passage_id,
            space,
            archive.id,
            str(vector),
        )
    server.query("UPDATE archives SET space_id = %s WHERE id = %s", space, archive.id)


@pytest.mark.parametrize("limit", [1, 50])
def test_equal_words_are_told_where_there_are_no_vectors(
    client: Letta, http: httpx.Client, archive: Archive, limit: int
) -> None:
    add(client, archive, "Ada likes tea.", "It rains", "ADA, likes  tea", "Straße 5", "STRASSE 5!")
    add(client, archive, "ada likes\ttea?", "tea likes Ada", "🙂", "🙂")
    assert sorted(told(http, archive, limit=limit)) == [
        ("Ada likes tea.", ["ADA, likes  tea", "ada likes\ttea?"]),
        ("Straße 5", ["STRASSE 5!"]),
        ("🙂", ["🙂"]),
    ]


@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("dimension", [64, 4_096])
def test_near_vectors_are_told(
    client: Letta, server: Product, http: httpx.Client, archive: Archive, limit: int, dimension: int
) -> None:
    ids = add(client, archive, "likes tea", "loves tea", "rain", "nothing", "not embedded yet")
    rest = [0.0] * (dimension - 2)
    directions = ([1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.0, 0.0])
    place(server, archive, {id_: [*two, *rest] for id_, two in zip(ids, directions, strict=False)})
    near = [("likes tea", ["loves tea"]), ("loves tea", ["likes tea"])]
    assert told(http, archive, limit=limit) == near
    assert told(http, archive, limit=limit, threshold=0.999) == []


@pytest.mark.parametrize("dimension", [64, 3_072, 4_096])
async def test_near_vectors_are_told_by_an_index_as_well(
    client: Letta, server: Product, http: httpx.Client, archive: Archive, dimension: int
) -> None:
    ids = add(client, archive, "likes tea", "loves tea", "rain")
    rest = [0.0] * (dimension - 2)
    directions = ([1.0, 0.0], [1.0, 0.1], [-1.0, -1.0])
    place(server, archive, {id_: [*two, *rest] for id_, two in zip(ids, directions, strict=True)})
    ((space,),) = server.query("SELECT space_id FROM archives WHERE id = %s", archive.id)
    database = Database(server.state["database_url"])
    try:
        assert await make_space_index(database, space, many=1) is not None
    finally:
        await database.close()
    near = [("likes tea", ["loves tea"]), ("loves tea", ["likes tea"])]
    assert told(http, archive, limit=2) == near


def test_a_passage_of_another_archive_is_no_place_to_go_on_from(
    client: Letta, server: Product, http: httpx.Client, archive: Archive
) -> None:
    ids = add(client, archive, "a", "b")
    place(server, archive, {id_: [1.0] * 64 for id_ in ids})
    (newer,) = add(client, client.archives.create(name="another"), "c")
    assert told(http, archive, after=newer) == told(http, archive) == [("a", ["b"]), ("b", ["a"])]


def test_reading_goes_on_behind_passages_that_are_deleted_meanwhile(
    client: Letta, server: Product, http: httpx.Client, archive: Archive
) -> None:
    ids = add(client, archive, "a", "b", "c", "d")
    place(server, archive, {id_: [1.0] * 64 for id_ in ids})
    path = f"/v1/archives/{archive.id}/duplicates"
    kept, asked = set(ids), {"limit": "1"}
    for _ in range(20):
        page = http.get(path, params=asked).json()
        for one in page["duplicates"]:
            if one["passage"]["id"] in kept:
                kept.remove(one["passage"]["id"])
                client.archives.passages.delete(one["passage"]["id"], archive_id=archive.id)
        if page["after"] is None:
            break
        asked["after"] = page["after"]
    assert kept == {ids[-1]}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"threshold": "0.4"}, 422),
        ({"threshold": "nan"}, 422),
        ({"limit": "0"}, 422),
        ({"limit": "201"}, 422),
        ({"after": "x"}, 422),
        ({"after": "\0"}, 422),
        ({"after": "f" * 64}, 200),
        ({"after": "passage-00000000-0000-4000-8000-000000000000"}, 200),
    ],
)
def test_odd_questions_are_told_plainly(
    http: httpx.Client, archive: Archive, asked: dict[str, str], status: int
) -> None:
    answer = http.get(f"/v1/archives/{archive.id}/duplicates", params=asked)
    assert answer.status_code == status, answer.text


def test_an_archive_that_is_not_there_has_no_duplicates(http: httpx.Client) -> None:
    assert http.get(f"/v1/archives/{new_id('archive')}/duplicates").status_code == 404


def test_what_is_added_is_embedded_and_then_compared_by_meaning(
    client: Letta, http: httpx.Client, server: Product
) -> None:
    archive = client.archives.create(name="embedded", embedding=EMBEDDING_HANDLE)
    add(client, archive, "Ada likes tea", "ada likes TEA!")

    def by() -> str:
        page: dict[str, str] = http.get(f"/v1/archives/{archive.id}/duplicates").json()
        return page["by"]

    assert by() in ("words", "vectors")
    eventually(lambda: by() == "vectors", what="the first vectors")
    rows = "SELECT 1 FROM passage_vectors WHERE archive_id = %s"
    eventually(lambda: len(server.query(rows, archive.id)) == 2, what="all vectors")
