"""What is left of organizations that were deleted, until it is gone."""

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.storage.all_tables import metadata
from o.storage.folder_tables import files, folders
from o.storage.memory_tables import archives
from o.storage.tables import agents, deleted_rows, organizations

# Those are purged with all that hangs on them, and not at once, by duties of their own.
_MARKED = (archives, folders, files, agents)
# The organization stays for the sake of its record, and that for as long as records are kept; its
# users, because who names one that is not there asks as the default user.
_KEPT = {"organizations", "users", "audit_records"}


def owned_tables() -> list[str]:
    """The tables whose rows have an organization and go with it, those first that refer to others.

    Where deleted rows stood comes last, because the purging itself writes it.
    """
    found = [
        table.name
        for table in reversed(metadata.sorted_tables)
        if "organization_id" in table.c and table.name not in _KEPT and table is not deleted_rows
    ]
    return [*found, deleted_rows.name]


async def list_organizations_to_purge(connection: AsyncConnection, *, limit: int) -> list[str]:
    """Some of those that were deleted and have things left, by chance."""
    rows = await connection.execute(
        select(organizations.c.id)
        .where(organizations.c.deleted_at.is_not(None), organizations.c.purged_at.is_(None))
        .order_by(func.random())
        .limit(limit)
    )
    return list(rows.scalars())


async def mark_contents_deleted(
    connection: AsyncConnection, organization_id: str, *, limit: int
) -> bool:
    """Have some of its agents, archives, folders and files be purged, of one kind at a time.

    Args:
        connection: In a transaction.
        organization_id: Of one that was deleted.
        limit: How many rows at most.

    Returns:
        Whether any was marked; else there is no more to mark that nobody has locked.
    """
    for table in _MARKED:
        some = (
            select(table.c.id)
            .where(table.c.organization_id == organization_id, table.c.deleted_at.is_(None))
            .order_by(table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        marked = await connection.execute(
            update(table)
            .where(table.c.id == func.any(func.array(some.scalar_subquery())))
            .values(deleted_at=func.now())
        )
        if marked.rowcount:
            return True
    return False


async def has_contents(connection: AsyncConnection, organization_id: str) -> bool:
    """Whether it has agents, archives, folders or files that are still to be purged."""
    for table in _MARKED:
        wanted = select(table.c.id).where(table.c.organization_id == organization_id).limit(1)
        if await connection.scalar(wanted) is not None:
            return True
    return False


async def purge_owned(
    connection: AsyncConnection, table: str, organization_id: str, *, limit: int
) -> int:
    """Remove some rows of one of `owned_tables`.

    Returns:
        How many.
    """
    statement = text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "  # noqa: S608
        "WHERE organization_id = :id LIMIT :limit FOR UPDATE SKIP LOCKED))"
    )
    gone = await connection.execute(statement, {"id": organization_id, "limit": limit})
    return gone.rowcount


async def mark_purged(connection: AsyncConnection, organization_id: str) -> None:
    """Note that nothing is left of it."""
    await connection.execute(
        update(organizations)
        .where(organizations.c.id == organization_id)
        .values(purged_at=func.now())
    )
