"""Where rows stood that are deleted, so that who pages a list by one of them goes on from there.

Triggers of the tables that are listed write them, and the sweeper purges them after a day, or
`O_KEEP_PLACES_H`.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Table, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.storage.tables.core import deleted_rows

_PURGE = text(
    """
    DELETE FROM deleted_rows WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM deleted_rows WHERE deleted_at < now() - CAST(:kept AS interval)
        ORDER BY deleted_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    """
).bindparams(bindparam("limit", type_=Integer, literal_execute=True))  # so that plans know it


def deleted_by_time(table: Table, actor: Actor, sort_by: str = "created_at") -> Select[Any]:
    """Where deleted rows of `table` stood in a list by a time and by id; no time is the oldest."""
    time = func.coalesce(deleted_rows.c[sort_by], func.to_timestamp(0))
    return places_of_deleted(table, actor, time, deleted_rows.c.id)


def places_of_deleted(table: Table, actor: Actor, *keys: ColumnElement[Any]) -> Select[Any]:
    """Deleted rows of `table` by the ids that clients know, with `keys`.

    Where several are known by one id, the one whose own it is comes last.
    """
    is_own = deleted_rows.c.id == deleted_rows.c.shown_id
    return (
        select(deleted_rows.c.shown_id, *keys)
        .where(
            deleted_rows.c.kind == table.name,
            deleted_rows.c.organization_id == actor.organization_id,
        )
        .order_by(is_own, deleted_rows.c.id.desc())
    )


async def purge_deleted_rows(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Forget the places of up to `limit` rows that were deleted longer ago than `kept`.

    Returns:
        Of how many.
    """
    purged = await connection.execute(_PURGE, {"kept": kept, "limit": limit})
    return purged.rowcount
