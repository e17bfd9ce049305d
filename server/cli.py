"""The command line: `o up` for everything at once, the other commands for one part each."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import uvloop
from pydantic import AliasChoices, ValidationError

from o.errors import OError, Unavailable
from o.log import configure_logging
from o.process_memory import load_without_collector, spare_collector
from o.settings import STARTUP_PATIENCE_S, ProviderSettings, Settings
from server.lifeline import REFUSED, follow_supervisor, report_ready

if TYPE_CHECKING:
    from o.storage.database import Database

_Kind = TypeVar("_Kind", Settings, ProviderSettings)

# Each command imports what it runs when it runs: the parts are heavy, and `o --help` is not.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("o-server"), package_name="o-server")
def cli() -> None:
    """O serves AI agents that remember, and that nothing can kill.

    `o up` starts everything on this machine. Settings are environment variables named O_…;
    DATABASE_URL and TEMPORAL_ADDRESS put your own servers in the place of the embedded ones.
    """


@cli.command()
@click.option("--host", help="Address of the API [O_HOST; 127.0.0.1].")
@click.option("--port", type=int, help="Port of the API [O_PORT; 8283].")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is kept [O_DATA_DIR; .o].",
)
@click.option("--postgres-port", type=int, help="Also serve PostgreSQL on this TCP port.")
@click.option("--temporal-port", type=int, help="Port of Temporal [a free one].")
@click.option("--temporal-ui-port", type=int, help="Port of the Temporal UI [8233, or a free one].")
def up(**flags: Any) -> None:
    """Start PostgreSQL, Temporal, workers and the API; keep them alive; stop them on Ctrl-C."""
    from server.up.supervisor import run  # noqa: PLC0415

    settings = _settings(**flags)
    spare_collector()
    raise SystemExit(asyncio.run(run(settings, _providers())))


@cli.command()
@click.option("--host", help="Address to bind [O_HOST; 127.0.0.1].")
@click.option("--port", type=int, help="Port to bind [O_PORT; 8283].")
def api(**flags: Any) -> None:
    """Serve the REST API. Needs DATABASE_URL and TEMPORAL_ADDRESS."""
    import uvicorn  # noqa: PLC0415

    from api.app import create_app  # noqa: PLC0415
    from api.edge.connection import BoundedConnection  # noqa: PLC0415
    from api.edge.descriptors import raise_limit  # noqa: PLC0415
    from migrations.schema import wait_for_schema  # noqa: PLC0415
    from server.serving import serve  # noqa: PLC0415

    settings = _with_database(_settings(**flags))
    _on_database(settings, "o api start", partial(wait_for_schema, patience_s=STARTUP_PATIENCE_S))
    raise_limit()
    app = create_app(settings, _providers(), on_ready=report_ready)
    spare_collector()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=BoundedConnection,
        ws="none",
        log_config=None,
        access_log=False,
        # Longer than clients keep idle connections (httpx: 5 s), so that it is they who close them:
        # a request that meets the server's close is lost.
        timeout_keep_alive=75,
    )
    serve(app, config)


@cli.command()
def worker() -> None:
    """Run conversations and their steps. Needs DATABASE_URL and TEMPORAL_ADDRESS."""
    from server.worker import run_worker  # noqa: PLC0415

    settings = _with_database(_settings())

    async def run(stop: asyncio.Event) -> None:
        await run_worker(settings, _providers(), stop=stop, on_ready=report_ready)

    _until_signal(run)
    _leave()


@cli.command()
def migrate() -> None:
    """Bring the database schema up to date, and make Temporal know O's search attributes."""
    from migrations.upgrade import migrate as upgrade  # noqa: PLC0415
    from o.storage.availability import reach  # noqa: PLC0415
    from o.temporal.connection import register  # noqa: PLC0415

    settings = _with_database(_settings())

    async def run(database: "Database") -> None:
        await reach(database.url)
        before, after = await upgrade(database)
        click.echo(f"schema: {before or 'empty'} -> {after}")
        for line in await register(settings):
            click.echo(line)

    _on_database(settings, "o migrate", run)
    _leave()


@cli.command()
def doctor() -> None:
    """Say what is wrong with this installation, and what to do."""
    from server.doctor import examine  # noqa: PLC0415

    findings = examine(_settings(), _providers())
    for finding in findings:
        click.echo(f"{finding.level:4}  {finding.what}")
        if finding.what_to_do:
            click.echo(f"      {finding.what_to_do}")
    if any(finding.level == "bad" for finding in findings):
        raise SystemExit(1)


@cli.command("local-model", hidden=True)
@click.option("--port", type=int, required=True)
def local_model(port: int) -> None:
    """Serve the bundled model on loopback; `o up` starts this when no provider is set."""
    from server.up.local_model import serve  # noqa: PLC0415

    spare_collector()
    serve(port)


def main() -> None:
    """Entry point; what O refuses on purpose is one line, not a traceback."""
    try:
        load_without_collector()
        follow_supervisor()
        cli()
    except OError as error:
        print(f"{REFUSED}{error.message}", file=sys.stderr)
        _leave(1)


def _settings(**flags: Any) -> Settings:
    settings = _read(Settings, {name: value for name, value in flags.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    return settings


def _providers() -> ProviderSettings:
    return _read(ProviderSettings, {})


def _read(kind: type[_Kind], given: dict[str, Any]) -> _Kind:
    """The settings as environment and flags have them; what is wrong is one line."""
    try:
        return kind(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{_as_written(kind, problem['loc'], given)}"
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise click.UsageError(problems) from None


def _as_written(kind: type[_Kind], place: tuple[int | str, ...], given: dict[str, Any]) -> str:
    """How the operator wrote what is wrong: as a flag, or as one of a variable's names."""
    if not place:
        return ""
    known = str(place[0])
    if known in given:
        return f"--{known.replace('_', '-')}: "
    names = _names_of(kind, known)
    in_use = {name.upper() for name, value in os.environ.items() if value}
    return f"{next((name for name in names if name in in_use), names[0])}: "


def _names_of(kind: type[_Kind], known: str) -> list[str]:
    """The variables that set a field, which is known by its own name or by the first of them."""
    for name, info in kind.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices):
            names = [str(choice) for choice in info.validation_alias.choices]
            if known == name or known in names:
                return names
        elif info.validation_alias == known:
            return [known]
    return [f"O_{known}".upper()]


def _with_database(settings: Settings) -> Settings:
    if settings.database_url is None:
        raise click.UsageError("set DATABASE_URL, or use `o up`, which brings its own database")
    return settings


def _on_database(
    settings: Settings, name: str, work: "Callable[[Database], Coroutine[Any, Any, None]]"
) -> None:
    """Do what needs the database for a moment; that it goes away meanwhile is one line as well."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from o.storage.availability import reason_of  # noqa: PLC0415
    from o.storage.database import Database  # noqa: PLC0415

    async def run() -> None:
        url = settings.database_url.get_secret_value() if settings.database_url else ""
        database = Database(url, pool_size=2, name=name)
        try:
            await work(database)
        finally:
            await database.close()

    try:
        asyncio.run(run())
    except SQLAlchemyError as error:
        raise Unavailable(f"the database of DATABASE_URL failed: {reason_of(error)}") from None


def _leave(status: int = 0) -> NoReturn:
    """End at once: an interpreter that takes itself down under temporalio's threads may crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _until_signal(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until SIGINT or SIGTERM sets the event."""

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(with_signals())


if __name__ == "__main__":
    main()
