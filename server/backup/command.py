"""`o backup` and `o restore`: everything that O keeps, as one file, and back."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from o.errors import InvalidInput
from o.settings.all import Settings
from server.leaving import leave
from server.progress import progress_bar

# What it works with is imported when it runs: `o --help` is quick.

_data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where `o up` keeps everything [O_DATA_DIR; .o].",
)


@click.command("backup")
@click.argument("file")
@click.option("--overwrite", is_flag=True, help="Replace a file of that name.")
@click.option(
    "--with-key/--without-key",
    default=False,
    help="Whether the key that secrets are encrypted with is in it too [without].",
)
@click.option("--quiet", is_flag=True, help="No bar.")
@_data_dir
@click.pass_obj
def backup(read_settings: Callable[..., Settings], /, **flags: Any) -> None:
    """Put everything that O keeps into FILE, as it is at one moment, while O runs; `-`: to stdout.

    It is taken from DATABASE_URL, or from the database of the data directory, whether `o up` runs
    or not. Nobody waits for it; `o migrate` does. FILE can be read by its owner alone, and is
    whole or not there. Without the key (O_ENCRYPTION_KEY, or the file encryption-key of the data
    directory) keys of providers and other secrets in it cannot be read: keep it elsewhere.
    """
    from server.backup.doing import take  # noqa: PLC0415

    settings = read_settings(data_dir=flags["data_dir"])
    with _bar("backup", quiet=flags["quiet"]) as begin:
        lines = asyncio.run(
            take(
                settings,
                flags["file"],
                overwrite=flags["overwrite"],
                with_key=flags["with_key"],
                begin=begin,
            )
        )
    _say(lines)


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Only see that FILE is whole, and say what it holds.")
@click.option(
    "--without-key",
    is_flag=True,
    help="Restore although secrets cannot be read: their key is lost.",
)
@click.option(
    "--end-executions",
    is_flag=True,
    help="End what is open in Temporal (TEMPORAL_ADDRESS), which knows what the backup does not.",
)
@click.option("--quiet", is_flag=True, help="No bar.")
@_data_dir
@click.pass_obj
def restore(read_settings: Callable[..., Settings], /, **flags: Any) -> None:
    """Put what FILE holds into an empty place.

    Into the empty database of DATABASE_URL, while nothing of O runs on it, or else into a data
    directory without one, for the next `o up`. FILE is read to its end first: nothing is changed
    for one that is damaged. All of it comes in one transaction, then the schema is brought up to
    date. Temporal may be empty: conversations, queues and approvals go on from the database.
    """
    from server.backup.doing import check, put_back  # noqa: PLC0415

    settings = read_settings(data_dir=flags["data_dir"])
    with _bar("check", quiet=flags["quiet"]) as begin:
        checked = check(flags["file"], begin)
    if flags["check"]:
        _say(checked.words())
        return
    with _bar("restore", quiet=flags["quiet"]) as begin:
        lines = asyncio.run(
            put_back(
                settings,
                flags["file"],
                checked,
                without_key=flags["without_key"],
                may_end=flags["end_executions"],
                begin=begin,
            )
        )
    _say(lines)
    leave()


@click.command("reset-temporal")
@click.option(
    "--despite-workers",
    is_flag=True,
    help="Go on although workers poll, or have within the last minute.",
)
@click.pass_obj
def reset_temporal(read_settings: Callable[..., Settings], /, *, despite_workers: bool) -> None:
    """End everything that is open in Temporal: workers begin it anew, as the database says.

    For a database that was set back in time (point-in-time recovery) beside a Temporal that knows
    what came later. Steps under way are repeated; nothing else is lost. Stop the workers first.
    """
    from server.backup.temporal import end_executions  # noqa: PLC0415

    settings = read_settings()
    if settings.temporal_address is None:
        raise InvalidInput(
            "set TEMPORAL_ADDRESS; the embedded Temporal begins anew when its file, temporal.db in "
            "the data directory, is removed while `o up` does not run"
        )
    ended = asyncio.run(end_executions(settings, despite_workers=despite_workers))
    click.echo(f"{ended} executions ended")
    leave()


def _say(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """A bar on the terminal of standard error; nothing where there is none.

    It begins once it is known how many bytes there are, about.
    """
    bars: list[Any] = []

    def begin(length: int) -> Callable[[int], None]:
        if quiet:
            return lambda done: None
        bar = progress_bar(max(1, length), label, file=sys.stderr)
        bars.append(bar)
        bar.render_progress()
        update: Callable[[int], None] = bar.update
        return update

    try:
        yield begin
    finally:
        for bar in bars:
            bar.finish()
            bar.render_finish()
