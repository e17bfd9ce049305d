"""Vectors of any dimension are searched by the index of their space, and words by theirs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from letta_client import Letta
from sqlalchemy import ClauseElement, text

from o.domain.actors import Actor
from o.errors import Unavailable
from o.ids import new_id
from o.storage.archives.embedding import take_up_unindexed
from o.storage.database import Database
from o.storage.search.passages import PassageFilter, given, search_passages
from o.storage.search.scope import passage_scope
from o.storage.search.session import asking, searching
from o.storage.search.space_index import make_space_index
from tests.support.product import Product

_COUNT = 60
_ORGANIZATION = Actor().organization_id


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


def filled(server: Product, client: Letta, dimension: int) -> tuple[str, int]:
    """An archive whose n-th passage points n degrees away from the first axis; and its space."""
    archive = client.archives.create(name="vectors")
    ((space_id,),) = server.query(
        "INSERT INTO vector_spaces (organization_id, handle, dimension) VALUES (%s, %s, %s) "
        "RETURNING id",
        *(_ORGANIZATION, new_id("handle"), dimension),
    )
    server.query("UPDATE archives SET space_id = %s WHERE id = %s", space_id, archive.id)
    texts = [{"text": f"turned by {n} degrees", "tags": [f"t{n % 2}"]} for n in range(_COUNT)]
    client.archives.passages.create_many(archive.id, passages=texts)  # type: ignore[arg-type]
    server.query(
        "INSERT INTO passage_vectors SELECT passages.id, %s, archive_id, ("
        " SELECT array_agg(CASE WHEN k %% 2 = 0 THEN cos(radians(n)) ELSE sin(radians(n)) END"
        "  * (1 + k / 100.0) ORDER BY k)::vector FROM generate_series(0, %s - 1) AS k) "
        "FROM passages, LATERAL (SELECT split_part(text, ' ', 3)::int AS n) AS turned "
        "WHERE archive_id = %s",
        *(space_id, dimension, archive.id),
    )
    return archive.id, space_id


async def found(
    database: Database, archive_id: str, dimension: int, wanted: PassageFilter | None = None
) -> list[str]:
    ask = asking(database, timeout_s=30)
    scope = await passage_scope(ask, _ORGANIZATION, [archive_id])
    asked = [(1 + k / 100) * (k % 2 == 0) for k in range(dimension)]
    results = await search_passages(
        ask,
        scope,
        "whatever",
        given({space.id: asked for space in scope.spaces}),
        mode="vector",
        wanted=wanted,
        limit=5,
    )
    return [one.passage.text.split()[2] for one in results]


@pytest.mark.parametrize("dimension", [64, 1536, 2048, 4096])
async def test_vectors_are_found_with_and_without_an_index(
    server: Product, client: Letta, database: Database, dimension: int
) -> None:
    archive_id, space_id = filled(server, client, dimension)
    nearest, even = ["0", "1", "2", "3", "4"], ["0", "2", "4", "6", "8"]
    tagged = PassageFilter(tags=["t0"])
    assert await found(database, archive_id, dimension) == nearest
    assert await make_space_index(database, space_id) is None, "they are few"
    name = await make_space_index(database, space_id, many=_COUNT)
    assert name is not None
    assert await make_space_index(database, space_id, many=_COUNT) == name
    # Many as they are now to be, the index is what is searched.
    server.query("UPDATE archives SET passage_count = 1000000 WHERE id = %s", archive_id)
    assert await found(database, archive_id, dimension) == nearest
    assert await found(database, archive_id, dimension, tagged) == even
    server.query("DELETE FROM passage_vectors WHERE space_id = %s", space_id)


async def test_an_index_that_a_crash_left_half_made_is_made_again(
    server: Product, client: Letta, database: Database
) -> None:
    archive_id, space_id = filled(server, client, 64)
    name = await make_space_index(database, space_id, many=_COUNT)
    server.query("UPDATE vector_spaces SET index_name = NULL WHERE id = %s", space_id)
    server.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", name)
    assert await make_space_index(database, space_id, many=_COUNT) == name
    state = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    assert server.query(state, name) == [(True,)]
    assert (await found(database, archive_id, 64))[0] == "0"


async def test_a_space_whose_index_was_never_finished_gets_it_later(
    server: Product, client: Letta, database: Database
) -> None:
    """Whoever made it died, and nothing is ever added to the archive again."""
    archive_id, space_id = filled(server, client, 64)
    server.query("DELETE FROM passages_to_embed WHERE archive_id = %s", archive_id)
    server.query("UPDATE archives SET embed_after = NULL WHERE id = %s", archive_id)
    async with database.begin() as connection:
        await take_up_unindexed(connection, many=_COUNT + 1)
    of_archive = "SELECT embed_after IS NULL FROM archives WHERE id = %s"
    assert server.query(of_archive, archive_id) == [(True,)]
    async with database.begin() as connection:
        await take_up_unindexed(connection, many=_COUNT)
        taken_up = await connection.execute(
            text("SELECT embed_after <= now() FROM archives WHERE id = :id"), {"id": archive_id}
        )
        assert taken_up.scalar_one()
    await make_space_index(database, space_id, many=_COUNT)
    server.query("UPDATE archives SET embed_after = NULL WHERE id = %s", archive_id)
    async with database.begin() as connection:
        await take_up_unindexed(connection, many=_COUNT)
    assert server.query(of_archive, archive_id) == [(True,)], "it has its index"


async def test_searches_go_by_their_indexes(
    server: Product, client: Letta, database: Database
) -> None:
    archive_id, space_id = filled(server, client, 64)
    name = await make_space_index(database, space_id, many=_COUNT)
    server.query("UPDATE archives SET passage_count = 1000000 WHERE id = %s", archive_id)
    sent: list[tuple[ClauseElement, Any, Any]] = []
    ask = asking(database, timeout_s=30)

    async def noted(statement: ClauseElement, values: Any, settings: Any = None) -> Sequence[Any]:
        sent.append((statement, values, settings or {}))
        return await ask(statement, values, settings or {})

    scope = await passage_scope(ask, _ORGANIZATION, [archive_id])
    vectors = given({space.id: [1.0] * 64 for space in scope.spaces})
    await search_passages(noted, scope, "turned by 7 degrees", vectors, limit=5)
    plans = []
    for statement, values, settings in sent:
        more = {**settings, "enable_seqscan": "off"}  # the table is small
        rows = await ask(text(f"EXPLAIN {statement}"), values, more)
        plans.append("\n".join(row[0] for row in rows))
    assert any(f"Index Scan using {name}" in plan for plan in plans), plans
    assert any("Bitmap Index Scan on passages_terms" in plan for plan in plans), plans


async def test_a_search_that_takes_too_long_is_given_up_and_says_so(database: Database) -> None:
    with pytest.raises(Unavailable, match="took too long"):
        async with searching(database, timeout_s=0.05) as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))
    with pytest.raises(Unavailable, match="took too long"):
        await asking(database, timeout_s=0.05)(text("SELECT pg_sleep(60)"), {})
    async with database.connect() as connection:
        asked = "SELECT current_setting('statement_timeout'), current_setting('enable_bitmapscan')"
        assert (await connection.execute(text(asked))).one() == ("0", "off"), "it ends with it"
