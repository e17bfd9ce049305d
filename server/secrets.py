"""`o secrets`: under which keys secrets are stored, and how they come under a new one."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from o.errors import Conflict, Unavailable
from o.settings.all import Settings
from server.on_database import on_database

if TYPE_CHECKING:
    from o.secrets import Keyring
    from o.storage.database import Database
    from o.storage.secret_columns import SealedColumn

_ReadSettings = Callable[..., Settings]

_SETTLED_S = 600.0
"""After so long, nobody has a secret in hand any more that a key encrypted before it was put back:
transactions, and the tokens by which tools ask, are over within a minute."""

_CODEC_IS_OFF = (
    "O_TEMPORAL_CODEC is off here, so nobody looked at Temporal: where workers encrypt by it, "
    "executions that need these keys begin anew"
)

_THEIR_END = "Those of conversations end after a day of rest or with their approval"

# What it works with is imported when it runs: `o --help` is quick.


@click.group("secrets")
def secrets() -> None:
    """Secrets as they are stored: keys of providers, variables of tools and the like.

    They are in DATABASE_URL, or in the database of the `o up` that runs here.
    """


@secrets.command("rotate")
@click.option("--new-key", is_flag=True, help="Make a new key first, in the data directory.")
@click.option("--check", is_flag=True, help="Change nothing; say what is under which key.")
@click.pass_obj
def rotate(read_settings: _ReadSettings, /, *, new_key: bool, check: bool) -> None:
    """Encrypt everything that is stored under an older key with the first one.

    The server may run. It can be broken off at any moment, and begun again.
    """
    settings = read_settings()
    keyring = _keyring(settings)
    if new_key and not check:
        click.echo(f"new key: {keyring.add_key()}")
    if not keyring.names():
        raise Conflict(
            f"there is no key in {settings.data_dir}: set O_ENCRYPTION_KEY or O_DATA_DIR"
        )
    if not check:
        on_database(settings, "o secrets", lambda database: _rotate(database, keyring))
    counts = on_database(settings, "o secrets", _count)
    older = _show(counts, keyring)
    if older:
        raise SystemExit(1)


@secrets.command("forget")
@click.option(
    "--despite-executions",
    is_flag=True,
    help="Go on although executions of Temporal may be under these keys: they begin anew.",
)
@click.pass_obj
def forget(read_settings: _ReadSettings, /, *, despite_executions: bool) -> None:
    """Take the keys under which nothing is stored any more out of the data directory.

    With O_TEMPORAL_CODEC, not while an execution is open that began under one of them. Backups that
    are older than the rotation cannot be read without them, nor histories that have ended.
    """
    settings = read_settings()
    keyring = _keyring(settings)
    if (seconds := keyring.seconds_unchanged()) < _SETTLED_S:
        raise Conflict(
            f"the keys were changed {seconds:.0f} s ago, and a transaction may be under way: "
            f"try again in {_SETTLED_S - seconds:.0f} s"
        )
    # In this order: the first key of now may be an older one by then, and in use.
    _, *older = keyring.names() or [""]
    used = {key for one in on_database(settings, "o secrets", _count).values() for key in one}
    gone = [name for name in older if name not in used]
    is_own = settings.encryption_key is None
    if gone and settings.temporal_codec != "off":
        if not is_own:  # none that could be forgotten here, whatever is open
            _tell_of_executions(settings)
        elif not despite_executions:
            asyncio.run(_refuse_beside_executions(settings, keyring))
    _forget(settings, keyring, gone)
    for name in older:
        if name in used:
            click.echo(f"kept, since secrets are under it: {name}")
    if not older:
        where = f"the file {keyring.file}" if is_own else "O_ENCRYPTION_KEY"
        click.echo(f"nothing to forget: {where} has no older key")


def _forget(settings: Settings, keyring: "Keyring", gone: list[str]) -> None:
    if not gone:
        return
    keyring.forget(gone)
    if settings.temporal_codec == "off":
        click.echo(_CODEC_IS_OFF, err=True)
    for name in gone:
        click.echo(f"forgotten: {name}")


async def _refuse_beside_executions(settings: Settings, keyring: "Keyring") -> None:
    """See that no execution is open that was there before the newest key was.

    What each of them holds would have to be read to know more. Whoever had a key in hand when it
    became an older one is done after a while.

    Raises:
        Conflict: There are some.
        Unavailable: Temporal is away, or it is not known where it is.
    """
    since = datetime.now(UTC) - timedelta(seconds=keyring.seconds_unchanged() - _SETTLED_S)
    found = await _open_executions(settings, since)
    if found:
        raise Conflict(
            f"{found} executions of Temporal are open that began before the newest key was in use, "
            f"and may need an older one: nothing is forgotten. {_THEIR_END}; --despite-executions "
            "has them begun anew"
        )


def _tell_of_executions(settings: Settings) -> None:
    """Say how many executions may need older keys, where nobody knows since when there are newer.

    It is all that can be said: what is to be taken out of the setting, an operator does.
    """
    try:
        found = asyncio.run(_open_executions(settings, None))
    except Unavailable as error:
        click.echo(f"nobody looked which executions need these keys: {error.message}", err=True)
        return
    click.echo(
        f"{found} executions of Temporal are open. Those that began before every process encrypted "
        f"with the first key may need an older one. {_THEIR_END}; without their key they begin "
        "anew",
        err=True,
    )


async def _open_executions(settings: Settings, begun_before: datetime | None) -> int:
    from temporalio.service import RPCError  # noqa: PLC0415

    from o.temporal.connection import connect_or_explain  # noqa: PLC0415
    from o.temporal.open_executions import count_open  # noqa: PLC0415

    client = await connect_or_explain(_with_temporal(settings))
    try:
        return await count_open(client, settings.task_queue, begun_before=begun_before)
    except RPCError as error:
        raise Unavailable(f"Temporal failed: {error.status.name}") from error


def _with_temporal(settings: Settings) -> Settings:
    """Settings that say where Temporal is: as they do, or as the `o up` that runs here has it."""
    from server.up import state  # noqa: PLC0415

    if settings.temporal_address is not None:
        return settings
    try:
        address = state.read(settings.data_dir.resolve()).temporal_address
    except Unavailable as error:
        raise Unavailable(
            f"{error.message}: set TEMPORAL_ADDRESS, or say --despite-executions"
        ) from None
    return settings.model_copy(update={"temporal_address": address})


async def _rotate(database: "Database", keyring: "Keyring") -> None:
    from o.domain.actors import Actor  # noqa: PLC0415
    from o.storage.organizations.audit import put_on_record  # noqa: PLC0415
    from o.storage.secret_columns import SEALED, reseal  # noqa: PLC0415

    for where in SEALED:
        found = await reseal(database, keyring, where)
        if found.done or found.unreadable:
            left = f", {found.unreadable} cannot be read" if found.unreadable else ""
            click.echo(f"{where}: {found.done} encrypted anew{left}")
    async with database.begin() as connection:
        key = keyring.names()[0]
        await put_on_record(connection, Actor(), "rotate_secrets", key, {"by": "o secrets"})


async def _count(database: "Database") -> "dict[SealedColumn, Counter[str]]":
    from o.storage.secret_columns import SEALED, count_by_key  # noqa: PLC0415

    async with database.connect() as connection:
        return {where: await count_by_key(connection, where) for where in SEALED}


def _show(counts: "dict[SealedColumn, Counter[str]]", keyring: "Keyring") -> int:
    """Print what is under which key; returns how many secrets are not under the first one."""
    first, *older = keyring.names()
    by_key: Counter[str] = sum(counts.values(), Counter())
    for name in dict.fromkeys([first, *older, *sorted(by_key)]):
        state = "first" if name == first else "older" if name in older else "not here"
        places = ", ".join(
            f"{where} {count[name]}" for where, count in counts.items() if count[name]
        )
        click.echo(f"{name or 'no key':16}  {state:8}  {by_key[name]:6}  {places}".rstrip())
    return sum(by_key.values()) - by_key[first]


def _keyring(settings: Settings) -> "Keyring":
    from o.secrets import Keyring  # noqa: PLC0415

    return Keyring(settings.data_dir, settings.encryption_key)
