"""What was learnt of models is known to all workers, and is forgotten in time."""

from collections.abc import AsyncIterator

import pytest

from o.domain.lessons import ModelKey
from o.ids import DEFAULT_ORGANIZATION_ID
from o.storage.database import Database
from o.storage.model_lessons import StoredLessons
from tests.support.product import Product

KEY = ModelKey(DEFAULT_ORGANIZATION_ID, "lessons-test", "here", "some/model")


@pytest.fixture
async def lessons(server: Product) -> AsyncIterator[StoredLessons]:
    database = Database(server.state["database_url"])
    yield StoredLessons(database)
    server.query("DELETE FROM model_lessons WHERE provider = %s", KEY.provider)
    await database.close()


async def test_lessons_add_up(lessons: StoredLessons) -> None:
    await lessons.add(KEY, frozenset({"without temperature", "plain"}))
    await lessons.add(KEY, frozenset({"plain", "no images"}))
    assert (await lessons.all())[KEY] == {"without temperature", "plain", "no images"}


async def test_lessons_are_forgotten_after_some_days(
    lessons: StoredLessons, server: Product
) -> None:
    await lessons.add(KEY, frozenset({"plain"}))
    server.query(
        "UPDATE model_lessons SET learnt_at = now() - interval '8 days' WHERE provider = %s",
        KEY.provider,
    )
    assert KEY not in await lessons.all()
    await lessons.add(KEY, frozenset({"no images"}))
    kept = server.query("SELECT lesson FROM model_lessons WHERE provider = %s", KEY.provider)
    assert kept == [("no images",)]


async def test_a_provider_that_moved_has_lessons_of_its_own(lessons: StoredLessons) -> None:
    moved = ModelKey(KEY.organization_id, KEY.provider, "there", KEY.model)
    await lessons.add(KEY, frozenset({"plain"}))
    await lessons.add(moved, frozenset({"no images"}))
    assert (await lessons.all())[moved] == {"no images"}
