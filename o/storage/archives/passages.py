"""Statements about passages. Counts and places in lists are kept by triggers."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Text,
    column,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.archives import Passage
from o.errors import NotFound
from o.storage.archives.archives import get_archive
from o.storage.deleted_rows import deleted_by_time
from o.storage.pages import Page, find_places, in_order, narrowed
from o.storage.rows import columns_of, models_of, row_of
from o.storage.tables.folders import files
from o.storage.tables.memory import passages

_KEYS = (passages.c.created_at, passages.c.id)
_REPEATED_WITHIN = timedelta(minutes=10)
_COLUMNS = ", ".join(column.name for column in columns_of(passages, Passage))
# One parameter, however many there are: what reads a statement of thousands takes longer than they.
_ADD = text(
    f"INSERT INTO passages ({_COLUMNS}) "  # noqa: S608
    f"SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::passages, CAST(:rows AS jsonb))"
)


@dataclass(frozen=True)
class Arrival:
    """How passages come.

    Attributes:
        at: When.
        is_repeat: Whether the client has sent the request before, and did not hear of its end.
    """

    at: datetime
    is_repeat: bool = False


async def add_passages(
    connection: AsyncConnection, actor: Actor, new: Sequence[Passage], arrival: Arrival
) -> list[Passage]:
    """Store new passages of one archive; those that the same request has stored stay as they are.

    A client that repeats a request says so, and nothing in it tells which one it was: so a passage
    that was stored in the ten minutes before with the same text, tags and metadata is taken for
    the one. Should the first try come behind its repeat, it finds what that has stored. Requests
    that repeat nothing store what they hold, also when it is there.

    Args:
        connection: In a transaction.
        actor: Whose archive it must be.
        new: All of one archive.
        arrival: How they come.

    Returns:
        What is stored, in the order of `new`.

    Raises:
        NotFound: There is no such archive for this actor.
    """
    if not new:
        return []
    await get_archive(connection, actor, new[0].archive_id, lock=True)
    stored = await _stored_before(connection, new, arrival)
    kept: list[Passage] = []
    missing: list[Passage] = []
    for passage in new:
        if earlier := stored[_same(passage)]:
            kept.append(earlier.pop(0))
        else:
            kept.append(passage)
            missing.append(passage)
    if missing:
        rows = to_json([row_of(passages, passage) for passage in missing]).decode()
        await connection.execute(_ADD, {"rows": rows})
    return kept


async def list_passages(
    connection: AsyncConnection,
    actor: Actor,
    archive_ids: Sequence[str],
    page: Page,
    *,
    holding: str | None = None,
    of_files: bool = False,
) -> list[Passage]:
    """A page of the passages of some archives, by their time.

    Each archive is read in the order of its index and no further than the page goes.

    Args:
        connection: Any.
        actor: Whose archives they are.
        archive_ids: The caller has found them for this actor.
        page: Which part.
        holding: What a passage must hold, upper and lower case alike.
        of_files: Whether they are of folders, whose files may have been deleted a moment ago.

    Raises:
        NotFound: A cursor names no passage of this actor.
    """
    alive = select(passages.c.id, *_KEYS).where(
        passages.c.organization_id == actor.organization_id,
        passages.c.id.in_([cursor for cursor in (page.before, page.after) if cursor is not None]),
    )
    places = await find_places(
        connection, page, alive, lambda: deleted_by_time(passages, actor), what="Passage"
    )
    ids = func.unnest(literal(list(archive_ids), ARRAY(Text)))
    archive = ids.table_valued(column("id", Text)).render_derived()
    of_one = select(*columns_of(passages, Passage)).where(passages.c.archive_id == archive.c.id)
    if holding:
        of_one = of_one.where(passages.c.text.icontains(holding, autoescape=True))
    if of_files:
        is_there = exists().where(files.c.id == passages.c.file_id, files.c.deleted_at.is_(None))
        of_one = of_one.where(passages.c.file_id.is_(None) | is_there)
    of_one = narrowed(of_one, page, _KEYS, places).order_by(*in_order(_KEYS, page))
    found = of_one.limit(page.limit).lateral("found")
    statement = (
        select(found)
        .select_from(archive.join(found, true()))
        .order_by(*in_order((found.c.created_at, found.c.id), page))
        .limit(page.limit)
    )
    return models_of(Passage, (await connection.execute(statement)).mappings().all())


async def delete_passage(
    connection: AsyncConnection, archive_ids: Sequence[str], passage_id: str
) -> None:
    """Delete a passage of one of these archives, with its vectors.

    Raises:
        NotFound: None of them has it.
    """
    gone = await connection.execute(
        delete(passages)
        .where(
            passages.c.id == passage_id,
            passages.c.archive_id == func.any(literal(list(archive_ids), ARRAY(Text))),
        )
        .returning(passages.c.id)
    )
    if gone.one_or_none() is None:
        raise NotFound(f"Passage with id {passage_id[:100]} not found")


async def _stored_before(
    connection: AsyncConnection, new: Sequence[Passage], arrival: Arrival
) -> dict[Any, list[Passage]]:
    """What the same request has stored, by what passages are known again by, the oldest first."""
    which: list[ColumnElement[bool]] = [passages.c.updated_at >= arrival.at]
    if arrival.is_repeat:
        which = [passages.c.updated_at >= arrival.at - _REPEATED_WITHIN]
    else:
        which.append(passages.c.is_repeat)
    rows = await connection.execute(
        select(*columns_of(passages, Passage))
        .where(
            passages.c.archive_id == new[0].archive_id,
            passages.c.key == func.any(literal(sorted({one.key for one in new}), ARRAY(Text))),
            *which,
        )
        .order_by(passages.c.updated_at, passages.c.created_at, passages.c.id)
        .limit(2 * len(new))
    )
    found: dict[Any, list[Passage]] = defaultdict(list)
    for passage in models_of(Passage, rows.mappings().all()):
        found[_same(passage)].append(passage)
    return found


def _same(passage: Passage) -> tuple[object, ...]:
    """What a passage is known again by, whatever order PostgreSQL keeps the metadata in."""
    return (passage.text, tuple(passage.tags), json.dumps(passage.metadata, sort_keys=True))
