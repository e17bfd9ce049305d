"""Statements about organizations and their users, for administrators.

`reach` is the organization that an administrator's key is of, and all that it sees; None sees all.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.organizations import Organization, User
from o.errors import Conflict, NotFound
from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID
from o.storage.pages import Page, page_of_kept_rows
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.core import organizations, users
from o.storage.tables.keys import api_keys

_IS_DEFAULT = "{} is the one that is asked without a key: it stays"


async def list_organizations(
    connection: AsyncConnection, reach: str | None, page: Page
) -> list[Organization]:
    """Organizations that are not deleted.

    Raises:
        NotFound: A cursor names none.
    """
    rows = await connection.execute(
        await page_of_kept_rows(
            connection,
            select(*columns_of(organizations, Organization)).where(
                organizations.c.deleted_at.is_(None), _within(organizations, reach)
            ),
            page,
            organizations,
            among=_within(organizations, reach),
        )
    )
    return models_of(Organization, rows.mappings())


async def get_organization(
    connection: AsyncConnection, reach: str | None, organization_id: str, *, lock: bool = False
) -> Organization:
    """One organization.

    Raises:
        NotFound: There is none.
    """
    wanted = select(*columns_of(organizations, Organization)).where(
        organizations.c.id == organization_id,
        organizations.c.deleted_at.is_(None),
        _within(organizations, reach),
    )
    rows = await connection.execute(wanted.with_for_update() if lock else wanted)
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Organization with id {organization_id[:100]} not found")
    return model_of(Organization, row)


async def add_organization(connection: AsyncConnection, new: Organization) -> None:
    """Store a new one."""
    await connection.execute(insert(organizations).values(row_of(organizations, new)))


async def rename_organization(
    connection: AsyncConnection, reach: str | None, organization_id: str, name: str | None
) -> Organization:
    """Give it another name; None leaves it as it is.

    Raises:
        NotFound: There is none.
    """
    found = await get_organization(connection, reach, organization_id, lock=True)
    if name is None:
        return found
    await connection.execute(
        update(organizations).where(organizations.c.id == found.id).values(name=name)
    )
    return found.model_copy(update={"name": name})


async def mark_organization_deleted(
    connection: AsyncConnection, organization_id: str, now: datetime
) -> Organization:
    """Shut an organization: its keys open nothing. What it has is purged by and by.

    Raises:
        NotFound: There is none.
        Conflict: It is the default one.
    """
    found = await get_organization(connection, None, organization_id, lock=True)
    if found.id == DEFAULT_ORGANIZATION_ID:
        raise Conflict(_IS_DEFAULT.format("The default organization"))
    await connection.execute(
        update(organizations).where(organizations.c.id == found.id).values(deleted_at=now)
    )
    # Who makes a key holds its user's row, so that the key is seen once the users are marked.
    await connection.execute(
        update(users)
        .where(users.c.organization_id == found.id, users.c.deleted_at.is_(None))
        .values(deleted_at=now)
    )
    await _shut(connection, api_keys.c.organization_id == found.id, now)
    return found.model_copy(update={"deleted_at": now})


async def list_users(connection: AsyncConnection, reach: str | None, page: Page) -> list[User]:
    """Users that are not deleted.

    Raises:
        NotFound: A cursor names none.
    """
    mine = _within(users, reach)
    statement = select(*columns_of(users, User)).where(users.c.deleted_at.is_(None), mine)
    statement = await page_of_kept_rows(connection, statement, page, users, among=mine)
    return models_of(User, (await connection.execute(statement)).mappings())


async def get_user(
    connection: AsyncConnection, reach: str | None, user_id: str, *, lock: bool = False
) -> User:
    """One user.

    Raises:
        NotFound: There is none.
    """
    wanted = select(*columns_of(users, User)).where(
        users.c.id == user_id, users.c.deleted_at.is_(None), _within(users, reach)
    )
    rows = await connection.execute(wanted.with_for_update() if lock else wanted)
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"User with id {user_id[:100]} not found")
    return model_of(User, row)


async def add_user(connection: AsyncConnection, reach: str | None, new: User) -> None:
    """Store a new one.

    Raises:
        NotFound: There is no such organization.
    """
    await get_organization(connection, reach, new.organization_id, lock=True)
    await connection.execute(insert(users).values(row_of(users, new)))


async def change_user(
    connection: AsyncConnection, reach: str | None, user_id: str, name: str | None, now: datetime
) -> User:
    """Give a user another name; None leaves it as it is.

    Raises:
        NotFound: There is none.
    """
    found = await get_user(connection, reach, user_id, lock=True)
    if name is None:
        return found
    changes = {"name": name, "updated_at": now}
    await connection.execute(update(users).where(users.c.id == found.id).values(**changes))
    return found.model_copy(update=changes)


async def mark_user_deleted(
    connection: AsyncConnection, reach: str | None, user_id: str, now: datetime
) -> User:
    """Shut a user out: the keys of it open nothing. What it made is its organization's, and stays.

    Raises:
        NotFound: There is none.
        Conflict: It is the default one.
    """
    found = await get_user(connection, reach, user_id, lock=True)
    if found.id == DEFAULT_USER_ID:
        raise Conflict(_IS_DEFAULT.format("The default user"))
    await connection.execute(update(users).where(users.c.id == found.id).values(deleted_at=now))
    await _shut(connection, api_keys.c.user_id == found.id, now)
    return found.model_copy(update={"deleted_at": now})


async def _shut(connection: AsyncConnection, which: ColumnElement[bool], now: datetime) -> None:
    await connection.execute(
        update(api_keys).where(which, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )


def _within(table: Table, reach: str | None) -> ColumnElement[bool]:
    if reach is None:
        return true()
    return (table.c.id if table is organizations else table.c.organization_id) == reach
