"""`o key`: makes, lists and revokes keys of the API, in the database directly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from o.errors import Conflict, InvalidInput, NotFound, Unavailable
from o.log import printable
from o.settings.all import Settings
from server.on_database import on_database
from server.streams import why_unread
from server.tables import show_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from o.domain.actors import Actor
    from o.domain.keys import ApiKey
    from o.storage.database import Database

_BY_COMMAND = {"by": "o key"}
_ReadSettings = Callable[..., Settings]
_MOST = 10_000
_SCOPES = ("admin", "write", "read", "approve")
_MOST_NAMED = 5
_HEADER = ("KEY", "BEGINS", "STATE", "SCOPES", "USED", "ORGANIZATION", "USER", "NAME")

# What it works with is imported when it runs: `o --help` is quick.


@click.group("key")
def key() -> None:
    """Keys of the API: each is one user's, and opens what its scopes say.

    They are made in DATABASE_URL, or in the database of the `o up` that runs here.
    """


@key.command("create")
@click.argument("name")
@click.option("--user", "user_id", help="Whose it is, by id; else the default user's.")
@click.option(
    "--new-user",
    "new_user",
    metavar="ORGANIZATION",
    help="Make an organization of that name, which is new, with a user for it.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    default=("write", "approve"),
    show_default=True,
    help="What it opens; may be repeated. `write` reads as well.",
)
@click.option("--days", type=click.IntRange(1, 36_500), help="How long it is good; else for good.")
@click.pass_obj
def create(read_settings: _ReadSettings, /, **flags: Any) -> None:
    """Make a key. It is printed now and never again."""
    if why_unread() is not None:
        raise Conflict("standard output is closed: nobody would see the key")
    settings = read_settings()
    made, secret = on_database(settings, "o key", lambda database: _create(database, flags))
    click.echo(f"{made.id} of {made.user_id} in {made.organization_id}", err=True)
    click.echo(secret)
    if (unread := why_unread()) is not None:
        raise Unavailable(
            f"the key {made.id} was made, and nobody has seen it ({unread}): "
            f"`o key revoke {made.id}`, and make another"
        )


@key.command("list")
@click.pass_obj
def index(read_settings: _ReadSettings, /) -> None:
    """Show the keys of all organizations, the newest first; at most 10,000."""
    found, names = on_database(read_settings(), "o key", _list)
    if not found:
        click.echo("There are no keys: `o key create NAME` makes one.", err=True)
        return
    _show(found, names)


@key.command("revoke")
@click.argument("key_id")
@click.pass_obj
def revoke(read_settings: _ReadSettings, /, key_id: str) -> None:
    """Have a key open nothing any more, within seconds, in every process."""
    revoked, names = on_database(
        read_settings(), "o key", lambda database: _revoke(database, key_id)
    )
    _show([revoked], names)


async def _create(database: "Database", flags: dict[str, Any]) -> "tuple[ApiKey, str]":
    from o.domain.actors import Actor  # noqa: PLC0415
    from o.domain.keys import ApiKey, hash_of, new_secret, shown_prefix  # noqa: PLC0415
    from o.ids import new_id  # noqa: PLC0415
    from o.storage.organizations.audit import put_on_record  # noqa: PLC0415
    from o.storage.organizations.keys import add_key  # noqa: PLC0415
    from o.storage.organizations.users import (  # noqa: PLC0415
        add_organization,
        find_actor,
        lock_name,
        users_of_organizations,
    )

    if flags["user_id"] is not None and flags["new_user"] is not None:
        raise InvalidInput("--user and --new-user are two ways to say whose it is: give one")
    if "" in (flags["user_id"], flags["new_user"]):  # of a variable that is not set, say
        raise InvalidInput("--user and --new-user say whose it is: leave them out, or name one")
    now, secret = datetime.now(UTC), new_secret()
    async with database.begin() as connection:
        if flags["new_user"]:
            await lock_name(connection, flags["new_user"])
            there = await users_of_organizations(connection, flags["new_user"])
            if there is not None:
                raise Conflict(_named_already(flags["new_user"], there))
            actor = await add_organization(connection, flags["new_user"], now)
            made_too = {
                "create_organization": actor.organization_id,
                "create_user": actor.user_id,
            }
            for what, id_ in made_too.items():
                await put_on_record(connection, actor, what, id_, _BY_COMMAND)
        else:
            wanted = flags["user_id"] or Actor().user_id
            found = await find_actor(connection, wanted)
            if found is None:
                raise NotFound(f"there is no user {wanted}")
            actor = found
        made = ApiKey(
            id=new_id("key"),
            organization_id=actor.organization_id,
            user_id=actor.user_id,
            name=flags["name"],
            prefix=shown_prefix(secret),
            scopes=list(flags["scopes"]),
            created_at=now,
            expires_at=now + timedelta(days=flags["days"]) if flags["days"] else None,
        )
        await add_key(connection, made, hash_of(secret))
        await put_on_record(connection, actor, "create_key", made.id, made.told | _BY_COMMAND)
    return made, secret


async def _list(database: "Database") -> "tuple[list[ApiKey], dict[str, str]]":
    from o.storage.organizations.keys import list_keys  # noqa: PLC0415
    from o.storage.pages import Page  # noqa: PLC0415

    async with database.connect() as connection:
        found = await list_keys(connection, None, Page(limit=_MOST))
        return found, await _names(connection, found)


async def _names(connection: "AsyncConnection", keys: "list[ApiKey]") -> dict[str, str]:
    from o.storage.organizations.users import names_of  # noqa: PLC0415

    owners = {id_ for one in keys for id_ in (one.organization_id, one.user_id)}
    return await names_of(connection, owners)


async def _revoke(database: "Database", key_id: str) -> "tuple[ApiKey, dict[str, str]]":
    from o.domain.actors import Actor  # noqa: PLC0415
    from o.storage.organizations.audit import put_on_record  # noqa: PLC0415
    from o.storage.organizations.keys import revoke_key  # noqa: PLC0415

    now = datetime.now(UTC)
    async with database.begin() as connection:
        revoked, is_done = await revoke_key(connection, None, key_id, now)
        if is_done:
            owner = Actor(revoked.user_id, revoked.organization_id)
            details = {"prefix": revoked.prefix} | _BY_COMMAND
            await put_on_record(connection, owner, "revoke_key", key_id, details)
        else:
            click.echo(f"{key_id} was revoked before: nothing is changed", err=True)
        return revoked, await _names(connection, [revoked])


def _named_already(name: str, users: "list[Actor]") -> str:
    """Why there is no second organization of a name: nobody could tell them apart."""
    whose = ", ".join(f"--user {one.user_id}" for one in users[:_MOST_NAMED])
    instead = f"make a key of a user in it with {whose}, or " if whose else ""
    return f"there is an organization {name!r} already: {instead}give the new one another name"


def _show(keys: "list[ApiKey]", names: dict[str, str]) -> None:
    """Print a table of what is known of keys, which is never their text."""
    show_table(_HEADER, [_cells(one, names) for one in keys])


def _cells(one: "ApiKey", names: dict[str, str]) -> tuple[str, ...]:
    state = "revoked" if one.revoked_at else "good"
    if not one.is_good(datetime.now(UTC)) and not one.revoked_at:
        state = "expired"
    used = one.last_used_at.strftime("%Y-%m-%d %H:%M") if one.last_used_at else "never"
    # A name is anybody's text, and must not write lines of its own on the operator's terminal.
    organization, user = (
        f"{printable(names.get(id_, ''))} ({id_})" for id_ in (one.organization_id, one.user_id)
    )
    scopes = ",".join(one.scopes)
    return one.id, f"{one.prefix}…", state, scopes, used, organization, user, printable(one.name)
