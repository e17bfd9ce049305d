"""Taking a backup and restoring it, from the first look to the last word."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from migrations.upgrade import migrate
from o.errors import InvalidInput
from o.settings.all import Settings
from o.storage.availability import reach
from o.storage.database import Database, sqlalchemy_url
from server.backup.file import Header, Reader, Table, Totals, Writer
from server.backup.keys import check_keys, keyring_of, keys_lacking, words_for
from server.backup.loading import driver_of, load, refuse_later
from server.backup.opening import open_source, open_target
from server.backup.place import STDOUT, place
from server.backup.stopping import Stop, in_thread
from server.backup.taking import Snapshot
from server.backup.temporal import check_temporal, end_before_restored, set_file_aside

Begin = Callable[[int], Callable[[int], None]]
"""Is told how many bytes there are, about; answers what is told of each piece."""

_NAME = "o backup"


async def take(
    settings: Settings, target: str, *, overwrite: bool, with_key: bool, begin: Begin
) -> list[str]:
    """Write a backup to `target`; answers what the operator is to know.

    Raises:
        OError: It cannot be taken; there is no file of that name then.
    """
    before = keyring_of(settings).texts() if with_key else []

    def work(stop: Stop) -> list[str]:
        with (
            place(target, overwrite=overwrite) as file,
            closing(psycopg.connect(url, autocommit=True, application_name=_NAME)) as connection,
        ):
            stop.hold(connection)
            snapshot = Snapshot(connection)
            advance = begin(sum(snapshot.tables.values()))
            # What was stored meanwhile is under a key of now, what is being put under it is not.
            now = keyring_of(settings).texts() if with_key else []
            header = replace(snapshot.header, keys=list(dict.fromkeys([*now, *before])))

            def tell(done: int) -> None:
                stop.check()
                advance(done)

            totals = snapshot.write(Writer(file, header), tell)
            size = file.tell() if target != STDOUT else 0
        told = f"{target}: {_words(totals)}, schema {header.revision}"
        return [told + (f", {size:,} bytes" if size else ""), *words_for(totals, header, settings)]

    async with open_source(settings) as url:
        await reach(url)
        return await in_thread(work)


@dataclass(frozen=True)
class Checked:
    """A file that was read to its end, and is whole."""

    header: Header
    totals: Totals

    def words(self) -> list[str]:
        """What it holds."""
        header = self.header
        words = "with the encryption key" if header.keys else "without the encryption key"
        if header.keys and (lacking := keys_lacking(self.totals, header)):
            words += f", and without that of some secrets ({', '.join(lacking)})"
        return [
            f"whole: {_words(self.totals)}, schema {header.revision}, taken {header.created_at} by "
            f"release {header.release} from PostgreSQL {header.postgres}",
            words,
        ]


def check(path: Path, begin: Begin) -> Checked:
    """Read a backup to its end.

    Raises:
        InvalidInput: It is none, is damaged, or was made by a later release.
    """
    if not path.is_file():
        raise InvalidInput(f"{path} is no file: a backup is read twice, so put it into one")
    with path.open("rb") as file:
        reader = Reader(file, path.name)
        refuse_later(reader, path.name)
        advance = begin(path.stat().st_size)
        before = file.tell()
        for part in reader.parts():
            if not isinstance(part, Table):
                advance(file.tell() - before)
                before = file.tell()
    return Checked(reader.header, reader.totals)


async def put_back(
    settings: Settings,
    path: Path,
    checked: Checked,
    *,
    without_key: bool,
    may_end: bool,
    begin: Begin,
) -> list[str]:
    """Restore a backup that was checked; answers what the operator is to know.

    Raises:
        OError: It cannot be restored; no row is changed then.
    """
    keys = check_keys(checked.totals, checked.header, settings, without_key=without_key)
    left_to_do = await check_temporal(settings, may_end=may_end)

    def work(stop: Stop) -> None:
        engine = create_engine(
            sqlalchemy_url(url), poolclass=NullPool, connect_args={"application_name": _NAME}
        )
        with path.open("rb") as file, engine.begin() as connection:
            reader = Reader(file, path.name)
            stop.hold(driver_of(connection))
            advance = begin(path.stat().st_size)
            before = 0

            def tell(_: int) -> None:
                nonlocal before
                stop.check()
                advance(file.tell() - before)
                before = file.tell()

            load(reader, connection, tell)
            stop.check()
            # Before the commit: where this is killed behind it, no second try brings the key.
            if keys:
                keyring_of(settings).keep(keys)

    async with open_target(settings) as url:
        await reach(url)
        await in_thread(work)
        lines = [f"restored: {_words(checked.totals)}", *(_words_of_kept(settings) if keys else ())]
        lines += await _after(settings, url, may_end=may_end)
    return lines + left_to_do


def _words_of_kept(settings: Settings) -> list[str]:
    """Where the keys of a backup are now."""
    lines = [f"the encryption key of the backup is now in {keyring_of(settings).file}"]
    if settings.database_url is not None:
        lines.append("O_ENCRYPTION_KEY of every process must be what is in that file")
    return lines


async def _after(settings: Settings, url: str, *, may_end: bool) -> list[str]:
    """What is behind the commit.

    It bears being cut short: a start migrates, and workers ask the database whose turn it is,
    whatever Temporal knows; `o reset-temporal` ends what is left there.
    """
    lines = []
    if may_end and settings.temporal_address is not None:
        lines.append(await end_before_restored(settings))
    if (aside := set_file_aside(settings)) is not None:
        lines.append(f"Temporal begins anew; its file is now {aside}")
    database = Database(url, pool_size=2, name=_NAME)
    try:
        before, after = await migrate(database)
        async with database.connect() as connection:
            await connection.execute(text("ANALYZE"))
    finally:
        await database.close()
    if before != after:
        lines.append(f"schema: {before} -> {after}")
    return lines


def _words(totals: Totals) -> str:
    told = ("agents", "conversations", "messages")
    counts = ", ".join(f"{totals.rows.get(name, 0):,} {name}" for name in told)
    return f"{counts} ({sum(totals.rows.values()):,} rows in all)"
