"""Tables as commands print them."""

from collections.abc import Sequence

import click


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their header, each column as wide as its widest cell."""
    whole = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in whole:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
