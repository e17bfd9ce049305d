"""What is left of organizations that were deleted, until it is gone.

Statements go by indexes however much others have, and however stale what PostgreSQL knows of it:
its own choice between an index and the whole table is made by what was there before.
"""

from sqlalchemy import ColumnElement, Table, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.storage.tables.all import metadata
from o.storage.tables.core import agents, organizations
from o.storage.tables.folders import files, folders
from o.storage.tables.memory import archives

# Those are purged with all that hangs on them, and not at once, by duties of their own.
_MARKED = (archives, folders, files, agents)
# The organization stays for the sake of its record, and that for as long as records are kept; its
# users, because who names one that is not there asks as the default user; its spaces of vectors,
# which say a model's name and nothing else, because all vectors would be read for one that goes.
_KEPT = {"organizations", "users", "audit_records", "vector_spaces"}
# By their age, within hours.
_GO_BY_THEMSELVES = {"deleted_rows", "worker_requests"}
_GO_BY_TRIGGERS = {"kept_parts", "message_vectors", "messages_to_embed"}

# As the index of the migration has it. No request and no call goes on for a day.
_TO_PURGE = text(
    """
    SELECT id FROM organizations
    WHERE deleted_at IS NOT NULL
      AND (purged_at IS NULL OR purged_at - deleted_at < interval '1 day')
      AND (purged_at IS NULL OR deleted_at < now() - interval '1 day')
    ORDER BY random() LIMIT :limit
    """
)
_BY_INDEXES = text("SET LOCAL enable_seqscan = off")
# A block has up to thousands of versions, which would go with it all at once.
_PURGE_VERSIONS = text(
    """
    DELETE FROM block_versions WHERE ctid = ANY(ARRAY(
        SELECT version.ctid
        FROM (SELECT id FROM blocks WHERE organization_id = :id LIMIT :limit) AS block,
            LATERAL (SELECT ctid FROM block_versions WHERE block_id = block.id OFFSET 0) AS version
        LIMIT :limit))
    """
)


def owned_tables() -> list[str]:
    """The tables whose rows have an organization and go with it, those first that refer to others.

    Those are not among them whose rows go with rows of others.
    """
    left_out = _KEPT | _GO_BY_THEMSELVES | _GO_BY_TRIGGERS
    return [
        table.name
        for table in reversed(metadata.sorted_tables)
        if "organization_id" in table.c
        and table.name not in left_out
        and table not in _MARKED
        and not _goes_with_another(table)
    ]


def _goes_with_another(table: Table) -> bool:
    return any(
        key.ondelete == "CASCADE" and "organization_id" in key.column.table.c
        for key in table.foreign_keys
    )


async def list_organizations_to_purge(connection: AsyncConnection, *, limit: int) -> list[str]:
    """Some of those that were deleted and have things left, by chance.

    Each is looked at again a day later: a request or a tool call that was under way at its
    deletion may have stored something after all else had gone.
    """
    rows = await connection.execute(_TO_PURGE, {"limit": limit})
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
    await connection.execute(_BY_INDEXES)
    for table in _MARKED:
        some = (
            select(table.c.id)
            .where(_is_of(table, organization_id), table.c.deleted_at.is_(None))
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
    """Whether it has agents, archives, folders or files that are still to be purged.

    Args:
        connection: In a transaction.
        organization_id: Of one that was deleted.
    """
    await connection.execute(_BY_INDEXES)
    for table in _MARKED:
        wanted = select(table.c.id).where(_is_of(table, organization_id)).limit(1)
        if await connection.scalar(wanted) is not None:
            return True
    return False


def _is_of(table: Table, organization_id: str) -> ColumnElement[bool]:
    if table is files:  # no index has their organization
        theirs = select(folders.c.id).where(folders.c.organization_id == organization_id)
        return files.c.folder_id == func.any(func.array(theirs.scalar_subquery()))
    is_of: ColumnElement[bool] = table.c.organization_id == organization_id
    return is_of


async def purge_owned(
    connection: AsyncConnection, table: str, organization_id: str, *, limit: int
) -> int:
    """Remove some rows of one of `owned_tables`, or of what would go with them in great number.

    Args:
        connection: In a transaction.
        table: Which.
        organization_id: Of one that has no contents any more.
        limit: How many rows at most.

    Returns:
        How many; 0 when there are no more that nobody has locked.
    """
    await connection.execute(_BY_INDEXES)
    given = {"id": organization_id, "limit": limit}
    if table == "blocks" and (gone := await connection.execute(_PURGE_VERSIONS, given)).rowcount:
        return gone.rowcount
    statement = text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "  # noqa: S608
        "WHERE organization_id = :id LIMIT :limit FOR UPDATE SKIP LOCKED))"
    )
    return (await connection.execute(statement, given)).rowcount


async def mark_purged(connection: AsyncConnection, organization_id: str) -> None:
    """Note that nothing is left of it."""
    await connection.execute(
        update(organizations)
        .where(organizations.c.id == organization_id)
        .values(purged_at=func.now())
    )
