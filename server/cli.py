"""The command line: `o up` for everything at once, the other commands for one part each."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import uvloop
from pydantic import AliasChoices, ValidationError

from o.errors import Conflict, OError, Unavailable
from o.log import configure_logging, printable
from o.process_memory import load_without_collector, spare_collector
from o.settings.all import STARTUP_PATIENCE_S, Settings
from o.settings.providers import ProviderSettings
from o.tracing import hand_over, trace_to
from server.api_client.address import address_of_api, url_option, user_option
from server.backup.command import backup, reset_temporal, restore
from server.container import check_complete, run_as_init
from server.export.command import export
from server.keys import key
from server.leaving import leave
from server.letta_import.command import import_
from server.lifeline import REFUSED, follow_supervisor, inherited_sockets, report_ready
from server.owners import org, user
from server.secrets import secrets
from server.streams import exit_status, outlast_readers
from server.unknown_settings import unknown_settings, warn_of_unknown

if TYPE_CHECKING:
    from o.storage.database import Database

_Kind = TypeVar("_Kind", Settings, ProviderSettings)
_ADDRESS = "O_HOST, O_PORT"

# Each command imports what it runs when it runs: the parts are heavy, and `o --help` is not.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("o-server"), package_name="o-server")
@click.pass_context
def cli(context: click.Context) -> None:
    """O serves AI agents that remember, and that nothing can kill.

    `o up` starts everything on this machine. Settings are environment variables named O_…;
    DATABASE_URL and TEMPORAL_ADDRESS put your own servers in the place of the embedded ones.
    """
    context.obj = _settings
    context.meta["o.providers"] = _providers
    if context.invoked_subcommand not in {"up", "fork-server"}:  # they fork before any thread
        follow_supervisor()


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
    from server.up.forks import ForkServer  # noqa: PLC0415
    from server.up.supervisor import run  # noqa: PLC0415

    async def live() -> int:
        try:
            return await run(settings, providers, forks=forks)
        finally:
            if forks is not None:
                await forks.close()

    settings, providers = _settings(**flags), _providers()
    warn_of_unknown(os.environ)
    forks = ForkServer.start(main)
    follow_supervisor()
    spare_collector()
    raise SystemExit(asyncio.run(live()))


@cli.command()
@click.option("--host", help="Address to bind [O_HOST; 127.0.0.1].")
@click.option("--port", type=int, help="Port to bind [O_PORT; 8283].")
def api(**flags: Any) -> None:
    """Serve the REST API. Needs DATABASE_URL and TEMPORAL_ADDRESS."""
    import uvicorn  # noqa: PLC0415

    from api.app import create_app, prepare  # noqa: PLC0415
    from api.edge.connection import BoundedConnection  # noqa: PLC0415
    from api.edge.descriptors import raise_limit  # noqa: PLC0415
    from migrations.schema import wait_for_schema  # noqa: PLC0415
    from server.serving import serve  # noqa: PLC0415
    from server.up.ports import bind  # noqa: PLC0415
    from server.without_room import answer_without_room  # noqa: PLC0415

    settings, sockets = _with_database(_settings(**flags)), inherited_sockets()
    warn_of_unknown(os.environ)
    if settings.container and "host" not in settings.model_fields_set:
        settings = settings.model_copy(update={"host": "0.0.0.0"})  # noqa: S104  nobody is inside
    if settings.api_processes > 1 and not sockets:
        from server.split import split  # noqa: PLC0415

        # Whichever of them is asked has to show all: a count must not fall from one to the next.
        place = settings.metrics_dir or settings.data_dir / "metrics"
        settings = settings.model_copy(update={"metrics_dir": place})
        sockets = bind(settings.host, settings.port, variables=_ADDRESS)
        prepare()
        split(settings.api_processes)
    take_port = partial(bind, settings.host, settings.port, variables=_ADDRESS)
    sockets = answer_without_room(settings, sockets, take_port)
    _on_database(settings, "o api start", partial(wait_for_schema, patience_s=STARTUP_PATIENCE_S))
    raise_limit()
    if settings.otlp_endpoint:
        trace_to(settings.otlp_endpoint, "api")
    app = create_app(settings, _providers(), on_ready=report_ready)
    sockets = sockets or take_port()
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
        proxy_headers=False,  # O_TRUSTED_PROXIES says whose count; see api.edge.front
        # Longer than clients keep idle connections (httpx: 5 s), so that it is they who close them:
        # a request that meets the server's close is lost.
        timeout_keep_alive=75,
    )
    serve(app, config, drain_s=settings.drain_s, sockets=sockets)
    hand_over()


@cli.command()
def worker() -> None:
    """Run conversations and their steps. Needs DATABASE_URL and TEMPORAL_ADDRESS."""
    from server.worker.worker import run_worker  # noqa: PLC0415

    settings = _with_database(_settings())
    warn_of_unknown(os.environ)
    if settings.otlp_endpoint:
        trace_to(settings.otlp_endpoint, "worker")

    async def run(stop: asyncio.Event) -> None:
        await run_worker(settings, _providers(), stop=stop, on_ready=report_ready)

    _until_signal(run)
    hand_over()
    leave()


@cli.command()
@click.option("--plan", "is_plan", is_flag=True, help="Only say what would be done, and who waits.")
def migrate(is_plan: bool) -> None:
    """Bring the database schema up to date, and make Temporal know O's search attributes."""
    from migrations.plan import plan  # noqa: PLC0415
    from migrations.upgrade import migrate as upgrade  # noqa: PLC0415
    from o.storage.availability import reach  # noqa: PLC0415
    from o.temporal.namespace import register  # noqa: PLC0415

    settings = _with_database(_settings())

    async def run(database: "Database") -> None:
        await reach(database.url)
        if is_plan:
            async with database.connect() as connection:
                click.echo("\n".join(await plan(connection)))
            return
        before, after = await upgrade(database)
        click.echo(f"schema: {before or 'empty'} -> {after}")
        await register(settings, click.echo)

    _on_database(settings, "o migrate", run)
    leave()


@cli.command()
def doctor() -> None:
    """Say what is wrong with this installation, and what to do."""
    from server.doctor import examine  # noqa: PLC0415

    settings, providers = _settings(), _providers()
    findings = examine(settings, providers, unknown_settings(os.environ))
    for finding in findings:
        click.echo(f"{finding.level:4}  {printable(finding.what)}")
        if finding.what_to_do:
            click.echo(f"      {printable(finding.what_to_do)}")
    if any(finding.level == "bad" for finding in findings):
        raise SystemExit(1)


cli.add_command(import_)
cli.add_command(export)
cli.add_command(key)
cli.add_command(org)
cli.add_command(user)
cli.add_command(backup)
cli.add_command(restore)
cli.add_command(reset_temporal)
cli.add_command(secrets)


@cli.command()
@url_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def status(url: str | None, *, as_json: bool) -> None:
    """How the server stands: its parts, what waits, what it has done. Ends with 1 if not well.

    Sends O_METRICS_TOKEN or O_API_TOKEN, where one is set. Workers on other machines count, and
    are not shown one by one.
    """
    from server.status import show  # noqa: PLC0415

    leave(0 if show(_settings(), url, as_json=as_json) else 1)


@cli.command()
@click.argument("folder")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@url_option
@click.option("--embedding", help="Handle of the model for a folder that is made.")
@click.option(
    "--on-duplicate",
    "duplicates",
    type=click.Choice(["skip", "replace", "suffix", "error"]),
    default="skip",
    show_default=True,
    help="What becomes of files whose names the folder has.",
)
@click.option("--wait/--no-wait", "waits", default=True, help="See the files read.")
@user_option
def ingest(folder: str, paths: tuple[Path, ...], url: str | None, **options: Any) -> None:
    """Put files, and all that is below directories, into a folder; one that is missing is made.

    A file of a directory is called by its path there. Sends O_API_TOKEN, where it is set. The
    folder is one of the default organization, or of the key's own: --user names another's.
    """
    from server.ingest import ingest as put  # noqa: PLC0415

    settings = _settings()
    token = settings.api_token.get_secret_value() if settings.api_token else None
    address = address_of_api(settings, url)
    result = asyncio.run(put(folder, paths, url=address, token=token, **options))
    leave(1 if result.failed else 0)


@cli.command("local-model", hidden=True)
@click.option("--port", type=int, required=True)
def local_model(port: int) -> None:
    """Serve the bundled model on loopback; `o up` starts this when no provider is set."""
    from server.up.local_model import serve  # noqa: PLC0415

    spare_collector()
    serve(port)


@cli.command("fork-server", hidden=True)
@click.option("--fd", type=int, required=True)
def fork_server(fd: int) -> None:
    """Fork O's processes for the supervisor that holds the other end of the socket `fd`."""
    from server.up.fork_server import serve  # noqa: PLC0415

    serve(socket.socket(fileno=fd), main)


def main() -> None:
    """Entry point; what O refuses on purpose is one line, not a traceback."""
    run_as_init(_main)


def _main() -> None:
    outlast_readers()
    try:
        load_without_collector()
        cli()
    except OError as error:
        print(f"{REFUSED}{printable(error.message)}", file=sys.stderr)
        leave(1)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            raise SystemExit(exit_status(end.code or 0)) from None
        raise


def _settings(**flags: Any) -> Settings:
    settings = _read(Settings, {name: value for name, value in flags.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    try:
        settings.data_dir.absolute()
    except FileNotFoundError:
        raise Conflict(
            "the working directory is gone: go to another one, or set O_DATA_DIR to a whole path"
        ) from None
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
    if settings.container:
        check_complete(settings)
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
