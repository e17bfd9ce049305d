"""Progress bars, for who looks at a terminal."""

import sys
from typing import Any, TextIO

import click


def progress_bar(length: int, label: str, *, file: TextIO | None = None, **more: Any) -> Any:
    """A bar of click's on standard output, or on `file`; nothing at all where that is no terminal.

    click by itself would print the bare label there.
    """
    stream = file or sys.stdout
    hidden = not stream.isatty()
    return click.progressbar(length=length, label=label, file=stream, hidden=hidden, **more)
