"""`o import letta`: the command line of moving in from a Letta V1 server."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.decorators import pass_meta_key

from o.errors import Unavailable
from o.settings.all import Settings
from o.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from server.letta_import.kind import Kind
    from server.letta_import.moving import Progress

# What it works with is imported when it runs: `o --help` is quick.


@click.group("import")
def import_() -> None:
    """Move data in from another server."""


@import_.command("letta")
@click.argument("url", metavar="V1_DATABASE_URL", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and write nothing.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Also make what was changed or deleted here as it is in V1 again: a conversation that "
    "went on here loses what was said here.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="KIND",
    help="Only this kind of things; may be repeated. `--only list` names them.",
)
@click.option("--with-runs", is_flag=True, help="Runs and steps too: what was asked when.")
@click.option(
    "--encryption-key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with V1's LETTA_ENCRYPTION_KEY [O_LETTA_ENCRYPTION_KEY has the key itself].",
)
@click.option("--encryption-key", envvar="O_LETTA_ENCRYPTION_KEY", hidden=True)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where `o up` keeps everything [O_DATA_DIR; .o].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_meta_key("o.providers")
@click.pass_obj
def letta(
    read_settings: Callable[..., Settings],
    read_providers: Callable[[], ProviderSettings],
    /,
    **flags: Any,
) -> None:
    """Move in from the database of a Letta V1 server, release 0.16.8.

    V1_DATABASE_URL is what V1 has in LETTA_PG_URI: the database that it serves, or a restored copy.
    It is only read. It goes to DATABASE_URL, or to the database of the `o up` that runs here; O may
    serve meanwhile. What was moved before and has not changed is passed over: it may be stopped at
    any moment, and run again.

    Exit status: 0 when all is moved or was told to have no place here; 3 when something stays as
    it is here that V1 has otherwise: changed in both, or its id is taken; 1 when it failed.
    """
    from server.letta_import.kinds.order import KINDS  # noqa: PLC0415

    if "list" in flags["only"]:
        click.echo("\n".join(kind.name for kind in KINDS))
        return
    if not flags["url"]:
        raise click.UsageError("Missing argument 'V1_DATABASE_URL': what V1 has in LETTA_PG_URI.")
    settings = read_settings(data_dir=flags["data_dir"])
    raise SystemExit(_move(settings, read_providers(), flags))


def _move(settings: Settings, providers: ProviderSettings, flags: dict[str, Any]) -> int:
    import psycopg  # noqa: PLC0415

    from server.letta_import.models import tell_lacking_models  # noqa: PLC0415
    from server.letta_import.moving import Wish, move  # noqa: PLC0415
    from server.letta_import.opening import chosen_kinds, open_context  # noqa: PLC0415

    wish = Wish(overwrite=flags["overwrite"], is_dry=flags["dry_run"])
    kinds = chosen_kinds(flags["only"], with_runs=flags["with_runs"])
    key = flags["encryption_key"]
    if flags["encryption_key_file"] is not None:
        key = flags["encryption_key_file"].read_text().strip()
    with (
        open_context(settings, flags["url"], key, is_dry=wish.is_dry) as context,
        _bars(context.source.count) as progress,
    ):
        try:
            accounts = move(context, kinds, wish, progress)
        except psycopg.Error as error:
            raise Unavailable(_why_stopped(error)) from None
        try:
            tell_lacking_models(context, kinds, providers, accounts)
        except psycopg.Error as error:  # a hint: all is moved, and is told of without it
            words = f"whose models nobody here has was not found out ({type(error).__name__})"
            accounts.tell("agents", "-", words)
    click.echo(accounts.as_json() if flags["as_json"] else accounts.as_table(is_dry=wish.is_dry))
    if not accounts.is_whole:
        return 1
    return 0 if accounts.is_agreed else 3


def _why_stopped(error: Exception) -> str:
    """Words without contents: what PostgreSQL says of a value may repeat it."""
    import psycopg  # noqa: PLC0415

    said = type(error).__name__
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and error.diag.message_primary:
        said = error.diag.message_primary
    return f"the import stopped: {said}. What was moved until then is here; run it again to go on"


@contextmanager
def _bars(count: Callable[[str], int]) -> "Iterator[Progress]":
    """A bar for each kind on the terminal of standard error; a line where there is none."""
    bar: Any = None
    of: Kind | None = None

    def end() -> None:
        if bar is not None:
            bar.finish()
            bar.render_finish()

    def told(kind: "Kind", rows: int) -> None:
        nonlocal bar, of
        if kind is not of:
            end()
            of = kind
            bar = click.progressbar(
                length=count(kind.table), label=f"{kind.name:22}", file=sys.stderr
            )
            bar.render_progress()
        bar.update(rows)

    try:
        yield told
    finally:
        end()
