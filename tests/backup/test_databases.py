"""Backups of every table, from each PostgreSQL that is at hand, restored into another database."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from migrations.schema import newest_revision
from migrations.upgrade import migrate, upgrade_to
from o.errors import Conflict, InvalidInput, OError
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.database import Database, sqlalchemy_url
from server.backup.doing import check, put_back, take
from server.backup.file import Header, Table, Totals, Writer
from server.up import locks
from tests.storage.bare import serve_bare
from tests.support.filled import count, fill
from tests.support.product import REPOSITORY, eventually

_Found = TypeVar("_Found")
_LOOK = {
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1, 2
    """,
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2
    """,
    "sequences": "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
}
_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_DATABASE = "DROP DATABASE IF EXISTS {0}; CREATE DATABASE {0} TEMPLATE {1}"


def _begin(_: int) -> Callable[[int], None]:
    return lambda done: None


class Place:
    """A database, as the commands see it."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.settings = Settings(database_url=SecretStr(url), data_dir=home)

    async def take(self, file: Path, **more: Any) -> list[str]:
        flags = {"overwrite": False, "with_key": False, **more}
        return await take(self.settings, str(file), begin=_begin, **flags)

    async def restore(self, file: Path, **more: Any) -> list[str]:
        flags = {"without_key": False, "may_end": False, **more}
        checked = check(file, _begin)
        return await put_back(self.settings, file, checked, begin=_begin, **flags)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def contents(self) -> dict[str, list[Any]]:
        """All rows of all tables, and what is made around them."""
        with self.connect() as connection:
            tables = connection.execute(_TABLES).fetchall()
            found = {name: connection.execute(look).fetchall() for name, look in _LOOK.items()}
            for (table,) in tables:
                rows = connection.execute(f'SELECT "{table}"::text FROM "{table}"').fetchall()
                found[table] = sorted(rows)
        return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """A PostgreSQL of each version that is at hand, whose database `postgres` is full."""
    home = tmp_path_factory.mktemp("servers")
    with asyncio.Runner() as runner:
        served = {
            16: serve_bare("pginstall", home / "16"),
            18: serve_bare("pginstall18", home / "18"),
        }
        urls = {number: runner.run(_enter(one))[2] for number, one in served.items()}
        for url in urls.values():
            runner.run(_migrate(url))
            with psycopg.connect(url, autocommit=True) as connection:
                counts = fill(connection)
                assert min(counts.values()) > 0, counts
                connection.execute("SELECT setval('vector_spaces_id_seq', 4711)")
        yield urls
        for one in served.values():
            runner.run(_leave(one))


async def _enter(one: AbstractAsyncContextManager[_Found]) -> _Found:
    return await one.__aenter__()


async def _leave(one: AbstractAsyncContextManager[object]) -> None:
    await one.__aexit__(None, None, None)


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


@pytest.fixture
def full(servers: dict[int, str], tmp_path: Path) -> Place:
    """A database with rows in every table, for one test."""
    return _copy(servers[18], tmp_path, "source", "postgres")


def _copy(url: str, tmp_path: Path, name: str, template: str = "template0") -> Place:
    """A new database on the server of `url`; an empty one by default."""
    there = url.replace(urlsplit(url).path, "/template1", 1)
    with psycopg.connect(there, autocommit=True) as connection:
        for statement in _DATABASE.format(name, template).split("; "):
            connection.execute(statement.encode())
    return Place(url.replace(urlsplit(url).path, f"/{name}", 1), tmp_path / name)


@pytest.mark.parametrize(("source", "target"), [(16, 18), (18, 16)])
async def test_every_row_of_every_table_comes_back_and_all_that_is_made_around_them(
    servers: dict[int, str], tmp_path: Path, source: int, target: int
) -> None:
    full = _copy(servers[source], tmp_path, "source", "postgres")
    file = tmp_path / "a.backup"
    said = await full.take(file)
    assert f"schema {newest_revision()}" in said[0]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("*.part")] == []
    other = _copy(servers[target], tmp_path, "other")
    await other.restore(file)
    assert other.contents() == full.contents()
    with pytest.raises(Conflict, match="the database has this backup already, whole"):
        await other.restore(file)
    with pytest.raises(Conflict, match="is there already"):
        await full.take(file)
    again = tmp_path / "b.backup"
    await other.take(again)
    with pytest.raises(Conflict, match="the database is not empty"):
        await other.restore(again)
    assert check(again, _begin).totals == check(file, _begin).totals


def _file(
    path: Path,
    header: Header,
    rows: bytes = b"",
    counted: int = 0,
    *,
    table: Table = Table("organizations", ["id", "name"]),
) -> Path:
    with path.open("wb") as file:
        writer = Writer(file, header)
        writer.begin(table)
        writer.add(rows)
        writer.finish(Totals({table.name: counted}))
    return path


async def test_nothing_is_changed_by_what_is_refused(full: Place, tmp_path: Path) -> None:
    """One test of many cases: a server of its own for each would take long."""
    other = _copy(full.url, tmp_path, "other")
    before = other.contents()
    head = Header("1.2.3", newest_revision(), "2026-01-01T00:00:00+00:00", "18.4")
    file = tmp_path / "a.backup"
    await full.take(file)

    async def refused(path: Path, words: str, **more: Any) -> None:
        with pytest.raises(OError) as error:
            await other.restore(path, **more)
        assert words in error.value.message
        assert other.contents() == before

    later = _file(tmp_path / "later", replace(head, release="9.9", revision="0999"))
    await refused(later, "was made by a later release (9.9, schema 0999;")
    await refused(_file(tmp_path / "fewer", head, b"org-1\tx\n", 2), "not as many rows as it says")
    await refused(_file(tmp_path / "odd", head, b"org-1\n", 1), "BadCopyFileFormat")
    roles = Table("pg_authid", ["oid", "rolname"])  # a superuser may write there
    await refused(_file(tmp_path / "roles", head, b"9\tx\n", 1, table=roles), "is no table of O")
    await refused(_file(tmp_path / "none", replace(head, revision="head")), "no schema 'head'")
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-40])
    await refused(cut, "cut is cut short")
    with psycopg.connect(other.url, application_name="o worker") as working:
        working.execute("SELECT 1")
        await refused(file, "O runs on this database (o worker)")
    with other.connect() as connection:
        connection.execute("CREATE TABLE users (id text)")
    before = other.contents()
    await refused(file, "has a table users that is not of O")
    with other.connect() as connection:
        connection.execute("DROP TABLE users; CREATE TABLE somebodys (id text)")
    await other.restore(file)
    with full.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(Conflict, match="have that release take the backup"):
        await full.take(tmp_path / "newer")
    assert not (tmp_path / "newer").exists()


async def test_secrets_need_their_key_which_is_in_a_backup_only_when_it_is_asked_for(
    full: Place, tmp_path: Path
) -> None:
    keyring = Keyring(full.settings.data_dir)
    sealed = keyring.encrypt("sk-1", of="providers:1")
    with full.connect() as connection:
        connection.execute("UPDATE providers SET api_key = %s", (sealed,))
    without, with_key = tmp_path / "without", tmp_path / "with"
    said = "\n".join(await full.take(without))
    assert "ARE READ WITH" in said
    assert "holds all conversations, memory and files in clear" in said
    assert str(keyring.file) in said
    assert "HOLDS THE ENCRYPTION KEY" in "\n".join(await full.take(with_key, with_key=True))
    key = keyring.file.read_bytes().strip()
    assert key not in without.read_bytes()
    assert key in with_key.read_bytes()
    assert "Copy it to NEW/encryption-key before `o restore --data-dir NEW`" in said
    other = _copy(full.url, tmp_path, "other")
    missing = Keyring(other.settings.data_dir).file
    told = re.escape(f"copy the file encryption-key of that data directory to {missing}")
    with pytest.raises(Conflict, match=f"set O_ENCRYPTION_KEY as it was .*{told}"):
        await other.restore(without)
    await other.restore(without, without_key=True)
    copied = _copy(full.url, tmp_path, "copied")
    _as_told(keyring.file, Keyring(copied.settings.data_dir).file)
    await copied.restore(without)
    assert Keyring(copied.settings.data_dir).decrypt(sealed, of="providers:1") == "sk-1"
    third = _copy(full.url, tmp_path, "third")
    await third.restore(with_key)
    assert Keyring(third.settings.data_dir).decrypt(sealed, of="providers:1") == "sk-1"
    fourth = _copy(full.url, tmp_path, "fourth")
    Keyring(fourth.settings.data_dir).encrypt("something", of="else")
    with pytest.raises(Conflict, match="this machine has a key of its own"):
        await fourth.restore(with_key)


async def test_a_temporal_that_is_embedded_beside_ones_own_database_begins_anew_unless_it_runs(
    full: Place, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    await full.take(taken)
    stopped = _copy(full.url, tmp_path, "stopped")
    of_stopped = stopped.settings.data_dir / "temporal.db"
    _fill(of_stopped)
    told = await stopped.restore(taken)
    assert not of_stopped.exists()
    (aside,) = of_stopped.parent.glob("temporal.db.before-restore-*")
    assert f"Temporal begins anew; its file is now {aside.name}" in told
    running = _copy(full.url, tmp_path, "running")
    of_running = running.settings.data_dir / "temporal.db"
    _fill(of_running)
    lock = locks.claim(of_running.parent)  # as an `o up` on another database does
    await running.restore(taken)
    os.close(lock)
    assert of_running.exists()


def _fill(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"what Temporal knows")


async def test_a_key_that_comes_while_a_backup_begins_is_in_it_with_those_that_were_there(
    full: Place, tmp_path: Path
) -> None:
    keyring = Keyring(full.settings.data_dir)
    old = keyring.encrypt("sk-1", of="providers:1")
    with full.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE providers")
        connection.execute("UPDATE providers SET api_key = %s", (old,))
        taking = asyncio.create_task(full.take(tmp_path / "a.backup", with_key=True))
        async with asyncio.timeout(20):
            while not _waits(full):
                await asyncio.sleep(0.02)
        keyring.add_key()
        new = keyring.encrypt("sk-2", of="providers:1")
        connection.execute("UPDATE providers SET access_key = %s", (new,))
    await taking
    other = _copy(full.url, tmp_path, "other")
    await other.restore(tmp_path / "a.backup")
    there = Keyring(other.settings.data_dir)
    assert [there.decrypt(one, of="providers:1") for one in (old, new)] == ["sk-1", "sk-2"]


async def test_a_key_that_is_not_in_a_backup_with_keys_is_told_of_and_asked_for(
    full: Place, tmp_path: Path
) -> None:
    elsewhere = Keyring(tmp_path / "elsewhere")
    lost = elsewhere.encrypt("sk-1", of="providers:1")
    keyring = Keyring(full.settings.data_dir)
    found = keyring.encrypt("sk-2", of="providers:1")
    with full.connect() as connection:
        connection.execute("UPDATE providers SET api_key = %s, access_key = %s", (lost, found))
    file = tmp_path / "a.backup"
    (name,) = elsewhere.names()
    said = "\n".join(await full.take(file, with_key=True))
    assert "NOT THOSE OF ALL ITS SECRETS" in said
    assert name in said
    assert f"without that of some secrets ({name})" in "\n".join(check(file, _begin).words())
    other = _copy(full.url, tmp_path, "other")
    with pytest.raises(Conflict, match=rf"\({name}\): set O_ENCRYPTION_KEY as it was"):
        await other.restore(file)
    await other.restore(file, without_key=True)
    there = Keyring(other.settings.data_dir)
    assert there.decrypt(found, of="providers:1") == "sk-2"


def _as_told(key: Path, target: Path) -> None:
    """Copy a key's file as the message says."""
    target.parent.mkdir(exist_ok=True)
    shutil.copy(key, target)


def _begun(file: Path, place: Place, command: str) -> "subprocess.Popen[bytes]":
    env = os.environ | {"DATABASE_URL": place.url, "O_DATA_DIR": str(place.settings.data_dir)}
    argv = [sys.executable, "-m", "server.cli", command, str(file)]
    return subprocess.Popen(argv, cwd=REPOSITORY, env=env, stderr=subprocess.PIPE)


def _waits(place: Place) -> bool:
    """Whether a statement of ours waits for a lock."""
    ask = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
    name = urlsplit(place.url).path.removeprefix("/")
    with place.connect() as connection:
        return connection.execute(ask, (name,)).fetchone() is not None


async def test_what_is_killed_leaves_nothing_that_looks_whole(full: Place, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    with full.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE messages")
        killed, stopped = (_begun(file, full, "backup") for _ in range(2))
        eventually(
            lambda: _waits(full) and len([*tmp_path.glob("*.part")]) == 2, what="two backups"
        )
        killed.kill()
        killed.wait(60)
        stopped.terminate()
        assert b"stopped" in stopped.communicate(timeout=60)[1]
        assert stopped.returncode == 1
        (part,) = tmp_path.glob(".a.backup.*")
        with pytest.raises(InvalidInput):
            check(part, _begin)
    assert not file.exists()
    await full.take(file)
    other = _copy(full.url, tmp_path, "other")
    before = other.contents()
    with other.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE tools ()")
        killed = _begun(file, other, "restore")
        eventually(lambda: _waits(other), what="a restore under way")
        killed.kill()
        killed.wait(60)
    eventually(lambda: other.contents() == before, what="nothing")
    await other.restore(file)
    assert other.contents() == full.contents()


async def test_a_backup_of_an_older_schema_is_brought_up_to_date_and_may_meet_an_empty_one(
    full: Place, tmp_path: Path
) -> None:
    old = _copy(full.url, tmp_path, "old")
    engine = create_engine(sqlalchemy_url(old.url), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade_to(connection, "0022")
    with old.connect() as plain:
        counts = fill(plain)
    file = tmp_path / "old.backup"
    assert "schema 0022" in (await old.take(file))[0]
    other = _copy(full.url, tmp_path, "other")
    assert f"schema: 0022 -> {newest_revision()}" in await other.restore(file)
    with other.connect() as plain:
        assert {table: count(plain, table) for table in counts}.items() >= counts.items()
    whole = tmp_path / "whole.backup"
    await full.take(whole)
    third = _copy(full.url, tmp_path, "third")
    await _migrate(third.url)
    with pytest.raises(Conflict, match=r"has the schema .* already, and the backup has 0022"):
        await third.restore(file)
    await third.restore(whole)
    assert third.contents() == full.contents()
