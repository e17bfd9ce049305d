"""`o org` and `o user`: which organizations and users there are, by the database directly."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from o.log import printable
from o.settings.all import Settings
from server.on_database import on_database
from server.tables import show_table

if TYPE_CHECKING:
    from o.domain.organizations import Organization, User
    from o.storage.database import Database

_ReadSettings = Callable[..., Settings]
_MOST = 10_000

# What they work with is imported when it runs: `o --help` is quick.


@click.group("org")
def org() -> None:
    """Organizations: what owns agents and all else.

    They are in DATABASE_URL, or in the database of the `o up` that runs here; `o key create
    --new-user NAME` makes one.
    """


@org.command("list")
@click.pass_obj
def organizations(read_settings: _ReadSettings, /) -> None:
    """Show the organizations, the newest first; at most 10,000."""
    found = on_database(read_settings(), "o org", _organizations)
    rows = [(one.id, f"{one.created_at:%Y-%m-%d %H:%M}", printable(one.name)) for one in found]
    show_table(("ORGANIZATION", "MADE", "NAME"), rows)


@click.group("user")
def user() -> None:
    """Users: each is of one organization, and keys are theirs.

    They are in DATABASE_URL, or in the database of the `o up` that runs here.
    """


@user.command("list")
@click.option("--org", "organization_id", help="Only those of this organization, by id.")
@click.pass_obj
def users(read_settings: _ReadSettings, /, organization_id: str | None) -> None:
    """Show the users of all organizations, the newest first; at most 10,000."""
    found, names = on_database(
        read_settings(), "o user", lambda database: _users(database, organization_id)
    )
    rows = [
        (
            one.id,
            f"{one.created_at:%Y-%m-%d %H:%M}",
            f"{printable(names.get(one.organization_id, ''))} ({one.organization_id})",
            printable(one.name),
        )
        for one in found
    ]
    show_table(("USER", "MADE", "ORGANIZATION", "NAME"), rows)


async def _organizations(database: "Database") -> "list[Organization]":
    from o.storage.organizations.organizations import list_organizations  # noqa: PLC0415
    from o.storage.pages import Page  # noqa: PLC0415

    async with database.connect() as connection:
        return await list_organizations(connection, None, Page(limit=_MOST))


async def _users(
    database: "Database", organization_id: str | None
) -> "tuple[list[User], dict[str, str]]":
    from o.storage.organizations.organizations import (  # noqa: PLC0415
        get_organization,
        list_users,
    )
    from o.storage.organizations.users import names_of  # noqa: PLC0415
    from o.storage.pages import Page  # noqa: PLC0415

    async with database.connect() as connection:
        if organization_id is not None:
            await get_organization(connection, None, organization_id)  # it is there
        found = await list_users(connection, organization_id, Page(limit=_MOST))
        return found, await names_of(connection, {one.organization_id for one in found})
