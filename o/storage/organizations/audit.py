"""Statements about the record of who did what. It is added to, and never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, insert, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.organizations import AuditRecord
from o.ids import new_id
from o.storage.pages import Page, page_of_kept_rows
from o.storage.rows import columns_of, models_of
from o.storage.tables.keys import audit_records


@dataclass(frozen=True)
class RecordFilter:
    """Which records a list shows; None of a field means any."""

    what: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    target_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def put_on_record(
    connection: AsyncConnection,
    actor: Actor,
    what: str,
    target_id: str | None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Keep that something was done, in the transaction that does it.

    Its time is the database's, of this statement: machines' clocks differ, and of two who wait for
    one another the first to begin may be the last to do it.

    Args:
        connection: In a transaction.
        actor: Who did it, or for whom it was done.
        what: The operation, as the API's document names it.
        target_id: To what; None where it is nothing that has an id.
        details: More of it, and never contents or secrets.
    """
    values = {
        "id": new_id("audit"),
        "organization_id": actor.organization_id,
        "user_id": actor.user_id,
        "key_id": actor.key_id,
        "what": what,
        "target_id": target_id,
        "details": dict(details or {}),
        "created_at": func.clock_timestamp(),
    }
    await connection.execute(insert(audit_records).values(**values))


async def list_records(
    connection: AsyncConnection, within: Sequence[str], only: RecordFilter, page: Page
) -> list[AuditRecord]:
    """What is on record.

    Args:
        connection: Any.
        within: Organizations to all of which it has to belong; none for that of all.
        only: Which records.
        page: Which part of them.

    Raises:
        NotFound: A cursor names no record.
    """
    of = audit_records.c
    mine = and_(true(), *(of.organization_id == one for one in within))
    wanted = select(*columns_of(audit_records, AuditRecord)).where(mine)
    for name in ("what", "user_id", "key_id", "target_id"):
        if (value := getattr(only, name)) is not None:
            wanted = wanted.where(of[name] == value)
    if only.since is not None:
        wanted = wanted.where(of.created_at >= only.since)
    if only.until is not None:
        wanted = wanted.where(of.created_at <= only.until)
    wanted = await page_of_kept_rows(connection, wanted, page, audit_records, among=mine)
    return models_of(AuditRecord, (await connection.execute(wanted)).mappings())
