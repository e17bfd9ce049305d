"""What the migrations that are pending would do to the tables that are there, before they do it.

Each is asked for its statements, which tell by themselves which tables they lock and what they do
to their rows; how long that takes follows from how large these are. Nothing is changed.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from migrations.schema import current_revision, is_newer, newest_revision
from migrations.statements import EXCLUSIVE, Effect, Work, effects_of, statements_in
from migrations.upgrade import configuration

_SIZES = text(
    """
    SELECT relname, reltuples, pg_table_size(oid) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    """
)
# On a slow disk, with one core; better ones are several times as fast.
_READ_BYTES_S = 100e6
_REWRITTEN_BYTES_S = 30e6
_INDEXED_ROWS_S = 200e3
_WRITTEN_ROWS_S = 5e3
_BYTES_A_ROW = 200
_QUICK_S = 0.1


@dataclass(frozen=True)
class Size:
    """How large a table is; rows as PostgreSQL estimates them."""

    rows: int
    size_bytes: int

    def takes_s(self, work: Work) -> float:
        """About how long a kind of work at all of it takes, in seconds."""
        read_s = self.size_bytes / _READ_BYTES_S
        return {
            Work.NONE: 0.0,
            Work.READ: read_s,
            Work.INDEX: read_s + self.rows / _INDEXED_ROWS_S,
            Work.REWRITE: self.size_bytes / _REWRITTEN_BYTES_S + self.rows / _INDEXED_ROWS_S,
            Work.ROWS: self.rows / _WRITTEN_ROWS_S,
        }[work]


@dataclass(frozen=True)
class Pending:
    """One migration.

    Attributes:
        title: The first line of its docstring.
        effects: On tables, which may not be there yet.
        unknown: Statements of which nothing is told.
    """

    revision: str
    title: str
    effects: list[Effect]
    unknown: list[str]


def pending_after(revision: str | None) -> list[Pending]:
    """The migrations behind a revision, in order; None is an empty database."""
    scripts = ScriptDirectory.from_config(configuration())
    found = list(scripts.iterate_revisions("head", revision or "base"))
    pending = []
    for script in reversed(found):
        told = [(one, effects_of(one)) for one in statements_in(_sql_of(script.module))]
        effects = [effect for _, made in told for effect in made or ()]
        unknown = [one for one, made in told if made is None]
        pending.append(Pending(script.revision, script.doc, effects, unknown))
    return pending


def _sql_of(module: object) -> str:
    out = io.StringIO()
    options = {"as_sql": True, "output_buffer": out}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        module.upgrade()  # type: ignore[attr-defined]
    return out.getvalue()


async def plan(connection: AsyncConnection) -> list[str]:
    """Lines that tell an operator what `o migrate` would do.

    Raises:
        Conflict: The schema is none of O's.
    """
    current = await current_revision(connection)
    if current is not None and (is_newer(current) or current == newest_revision()):
        return [f"nothing to do: the schema is {current}"]
    rows = await connection.execute(_SIZES)
    sizes = {
        str(name): Size(max(int(count), size // _BYTES_A_ROW if count < 0 else 0), int(size))
        for name, count, size in rows
    }
    pending = pending_after(current)
    lines = [f"schema {current or 'empty'} -> {newest_revision()}; nothing is changed now"]
    total_s = 0.0
    for one in pending:
        lines.append(f"{one.revision}  {one.title}")
        for line, takes_s in _lines_of(one, sizes):
            lines.append(f"      {line}")
            total_s += takes_s
    held = sorted(
        {e.table for one in pending for e in one.effects if e.lock == EXCLUSIVE} & {*sizes}
    )
    lines.append(
        "All of it is one transaction: it is done as a whole or not at all, and what is locked "
        f"stays so until its end, about {_duration(total_s)} after its beginning."
    )
    if held:
        lines.append(f"Until then nobody reads or writes: {', '.join(held)}.")
    lines.append("It begins when transactions that use these tables are over: a backup, say.")
    return lines


def _lines_of(one: Pending, sizes: dict[str, Size]) -> Iterator[tuple[str, float]]:
    """What takes time, each; the tables that are locked for a moment, together."""
    quick: dict[str, set[str]] = {}
    for effect in one.effects:
        size = sizes.get(effect.table)
        if size is None:
            continue
        takes_s = size.takes_s(effect.work)
        if effect.work is Work.NONE:
            quick.setdefault(effect.lock, set()).add(effect.table)
        else:
            yield (
                f"{effect.table} ({size.rows:,} rows, {size.size_bytes / 1e6:,.1f} MB): "
                f"{effect.work.value}; {effect.lock}; about {_duration(takes_s)}",
                takes_s,
            )
    if not any(effect.table in sizes for effect in one.effects) and not one.unknown:
        yield "new tables and functions alone; nobody waits", 0.0
    for lock, tables in quick.items():
        yield f"{', '.join(sorted(tables))}: changed at once; {lock}", 0.0
    for statement in one.unknown:
        yield f"not known: {re.sub(r'[(].*', '', statement)[:80]}", 0.0


def _duration(seconds: float) -> str:
    if seconds < _QUICK_S:
        return "a moment"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
