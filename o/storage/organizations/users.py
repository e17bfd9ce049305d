"""Statements about users: who acts for which organization."""

from datetime import datetime

from sqlalchemy import and_, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.errors import NotFound
from o.ids import new_id
from o.storage.tables.core import organizations, users


async def find_actor(connection: AsyncConnection, user_id: str) -> Actor | None:
    """The user by that id as who asks; None where there is none.

    Raises:
        NotFound: The user was deleted. Whoever goes on asking for it must not become another one.
    """
    found = await connection.execute(
        select(users.c.organization_id, users.c.deleted_at).where(users.c.id == user_id)
    )
    row = found.one_or_none()
    if row is not None and row.deleted_at is not None:
        raise NotFound(f"The user {user_id} was deleted")
    return None if row is None else Actor(user_id, row.organization_id)


async def add_organization(connection: AsyncConnection, name: str, now: datetime) -> Actor:
    """Make an organization, and a user of its name in it, who is returned."""
    made = Actor(new_id("user"), new_id("org"))
    await connection.execute(
        insert(organizations).values(id=made.organization_id, name=name, created_at=now)
    )
    owned = {"id": made.user_id, "organization_id": made.organization_id}
    await connection.execute(insert(users).values(**owned, name=name, created_at=now))
    return made


async def lock_name(connection: AsyncConnection, name: str) -> None:
    """Let those who make an organization of a new name come one after the other.

    Names are no keys: administrators may have two organizations of one.

    Args:
        connection: In the transaction that keeps the others waiting.
        name: The organization's.
    """
    key = func.hashtextextended(f"organization {name}", 0)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


async def users_of_organizations(connection: AsyncConnection, name: str) -> list[Actor] | None:
    """The users of every organization that has this name, the oldest first.

    None where no organization has it; one whose users were all deleted has it too.
    """
    is_in_it = and_(users.c.organization_id == organizations.c.id, users.c.deleted_at.is_(None))
    found = await connection.execute(
        select(organizations.c.id, users.c.id.label("user_id"))
        .select_from(organizations.outerjoin(users, is_in_it))
        .where(organizations.c.name == name, organizations.c.deleted_at.is_(None))
        .order_by(users.c.created_at, users.c.id)
    )
    rows = found.all()
    return [Actor(row.user_id, row.id) for row in rows if row.user_id] if rows else None


async def names_of(connection: AsyncConnection, ids: set[str]) -> dict[str, str]:
    """What organizations and users are called, by their ids; those that were deleted too."""
    names: dict[str, str] = {}
    for table in (organizations, users):
        found = await connection.execute(
            select(table.c.id, table.c.name).where(table.c.id.in_(ids))
        )
        names |= {row.id: row.name for row in found}
    return names
