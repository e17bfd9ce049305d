"""What was learnt of models, for all workers."""

from sqlalchemy import ARRAY, Text, bindparam, func, select, text

from o.domain.lessons import ModelKey
from o.storage.database import Database
from o.storage.tables.providers import model_lessons

KEPT_DAYS = 7
"""A lesson that is not learnt again is forgotten: models and servers are mended too."""

_ADD = text(
    """
    WITH outdated AS (
        DELETE FROM model_lessons WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM model_lessons WHERE learnt_at < now() - make_interval(days => :days)
            FOR UPDATE SKIP LOCKED
        ))
    )
    INSERT INTO model_lessons (organization_id, provider, provider_mark, model, lesson)
    SELECT :organization_id, :provider, :provider_mark, :model, unnest(:lessons)
    ON CONFLICT (organization_id, provider, model, lesson) DO UPDATE
    SET provider_mark = excluded.provider_mark, learnt_at = excluded.learnt_at
    """
).bindparams(bindparam("lessons", type_=ARRAY(Text)))


class StoredLessons:
    """Lessons as rows of the database; see `o.domain.lessons.Lessons`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[ModelKey, frozenset[str]]:
        """What is known of each model, without what is too old."""
        rows = model_lessons.c
        whose = (rows.organization_id, rows.provider, rows.provider_mark, rows.model)
        known = (
            select(*whose, func.array_agg(rows.lesson))
            .where(rows.learnt_at > func.now() - func.make_interval(0, 0, 0, KEPT_DAYS))
            .group_by(*whose)
        )
        async with self._database.connect() as connection:
            found = await connection.execute(known)
        return {ModelKey(*key): frozenset(lessons) for *key, lessons in found}

    async def add(self, key: ModelKey, lessons: frozenset[str]) -> None:
        """Keep lessons; those that were known of another address of the provider become its own."""
        values = {
            "organization_id": key.organization_id,
            "provider": key.provider,
            "provider_mark": key.provider_mark,
            "model": key.model,
            "lessons": sorted(lessons),
            "days": KEPT_DAYS,
        }
        async with self._database.begin() as connection:
            await connection.execute(_ADD, values)
