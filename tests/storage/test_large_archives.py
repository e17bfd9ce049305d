"""What is asked of a large archive costs what the answer holds: the plans use the indexes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from letta_client import Letta
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.archives import Passage, words_key
from o.ids import new_id
from o.storage.archives.agent_archives import list_archive_ids, sum_up_archives
from o.storage.archives.passages import Arrival, add_passages, list_passages
from o.storage.database import Database
from o.storage.pages import Page
from tests.storage.test_long_histories import rows_read
from tests.support.product import Product
from tests.support.provider import HANDLE

_PASSAGES = 20_000
_LIMIT = 50
_FILL = """
SET session_replication_role = replica; -- no triggers: nothing is embedded, nothing counted
INSERT INTO passages (id, organization_id, archive_id, text, key, tags, created_at, updated_at)
SELECT 'passage-' || gen_random_uuid(), organization_id, id, 'fact ' || n, md5(n::text),
    ARRAY['tag ' || n % 20], now() + n * interval '1 second', now()
FROM archives, generate_series(1, {passages}) AS n WHERE id = '{archive_id}';
INSERT INTO archive_tags (archive_id, tag, passage_count)
SELECT '{archive_id}', 'tag ' || n, {passages} / 20 FROM generate_series(0, 19) AS n;
UPDATE archives SET passage_count = {passages} WHERE id = '{archive_id}'
"""
_OTHERS = 5_000
# Of another organization and another agent. A table of a page or two is rightly read whole, with
# whatever other tests have left in it: only in large ones a plan shows whether it has an index.
_AMONG_OTHERS = """
INSERT INTO organizations (id, name) VALUES ('org-of-many-archives', 'many') ON CONFLICT DO NOTHING;
INSERT INTO archives (id, organization_id, name, created_at, updated_at)
SELECT 'archive-' || gen_random_uuid(), 'org-of-many-archives', 'other ' || n, now(), now()
FROM generate_series(1, {others}) AS n;
INSERT INTO agent_archives (agent_id, archive_id, created_at)
SELECT '{other_agent_id}', id, now() FROM archives WHERE organization_id = 'org-of-many-archives';
INSERT INTO archive_tags (archive_id, tag, passage_count)
SELECT id, 'tag of another', 1 FROM archives WHERE organization_id = 'org-of-many-archives';
ANALYZE passages, archives, agent_archives, archive_tags
"""


@pytest.fixture(scope="module")
def agent_id(server: Product, client: Letta) -> str:
    """An agent with a large archive and two that hold one passage each."""
    agent_id = client.agents.create(model=HANDLE).id
    for n in range(3):
        archive = client.archives.create(name=f"{n}")
        client.agents.archives.attach(archive.id, agent_id=agent_id)
        if n == 0:
            server.query(_FILL.format(passages=_PASSAGES, archive_id=archive.id))
        else:
            client.archives.passages.create(archive.id, text="alone")
    other = client.agents.create(model=HANDLE).id
    server.query(_AMONG_OTHERS.format(others=_OTHERS, other_agent_id=other))
    return agent_id


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


class _Undone(Exception):
    """Ends a transaction of which nothing is to be kept."""


async def read_by(database: Database, ask: Callable[[AsyncConnection], Awaitable[object]]) -> float:
    """How many rows the questions of `ask` take from tables and indexes; nothing is kept."""
    sent: list[tuple[str, Any]] = []
    read = 0.0

    def note(*happened: Any) -> None:
        sent.append((happened[2], happened[3]))

    with suppress(_Undone):
        async with database.begin() as connection:
            event.listen(database.engine.sync_engine, "before_cursor_execute", note)
            await ask(connection)
            event.remove(database.engine.sync_engine, "before_cursor_execute", note)
            for statement, parameters in sent:
                if statement.lstrip().startswith("SELECT"):
                    read += rows_read(await _plan_of(connection, statement, parameters))
            raise _Undone
    assert sent
    return read


async def _plan_of(connection: AsyncConnection, statement: str, parameters: Any) -> dict[str, Any]:
    explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    told = (await connection.exec_driver_sql(explained, parameters)).scalar_one()
    plans = json.loads(told) if isinstance(told, str) else told
    plan: dict[str, Any] = plans[0]["Plan"]
    return plan


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("cursor", ["", "before", "after"])
async def test_a_page_reads_little_more_than_it_shows(
    server: Product, database: Database, agent_id: str, ascending: bool, cursor: str
) -> None:
    middle = "SELECT id FROM passages WHERE text = %s AND archive_id = ANY(%s)"
    async with database.connect() as connection:
        ids = await list_archive_ids(connection, agent_id)
    assert len(ids) == 3
    ((id_,),) = server.query(middle, f"fact {_PASSAGES // 2}", ids)
    page = Page(**({cursor: id_} if cursor else {}), limit=_LIMIT, ascending=ascending)
    found: list[Passage] = []

    async def ask(connection: AsyncConnection) -> None:
        found.extend(await list_passages(connection, Actor(), ids, page))

    assert await read_by(database, ask) <= 6 * _LIMIT
    assert len(found) == _LIMIT


async def test_what_prompts_tell_and_what_inserts_ask_reads_few_rows(
    database: Database, agent_id: str
) -> None:
    async def sum_up(connection: AsyncConnection) -> None:
        summary = await sum_up_archives(connection, agent_id)
        assert (summary.passage_count, len(summary.tags)) == (_PASSAGES + 2, 20)

    async def insert(connection: AsyncConnection) -> None:
        (archive_id, *_) = await list_archive_ids(connection, agent_id)
        now = datetime.now(UTC)
        new = Passage(
            id=new_id("passage"),
            organization_id=Actor().organization_id,
            archive_id=archive_id,
            text="new",
            key=words_key("new"),
            created_at=now,
            updated_at=now,
        )
        await add_passages(connection, Actor(), [new], Arrival(now, is_repeat=True))

    assert await read_by(database, sum_up) <= 100
    assert await read_by(database, insert) <= 100
