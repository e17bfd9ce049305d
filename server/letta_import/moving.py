"""Moves everything in, kind by kind: what is new, what has changed there, and nothing twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psycopg

from o.errors import Conflict
from server.letta_import.accounts import Accounts, Fate
from server.letta_import.kind import Context, Item, Kind, LeftOut
from server.letta_import.target import Mark

_NOT_TAKEN = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,  # such as a name that is too long for an index
    psycopg.errors.StatementTooComplex,
)
"""What PostgreSQL says of a row that it will never take."""

_OF_NOTHING = "what it belongs to is not there"
_GONE = "deleted there since it was moved: it stays here"

Progress = Callable[[Kind, int], None]
"""Is told of a kind, and how many rows of its table were gone through since it was told last."""


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        overwrite: Whether what was changed here becomes again as it is in V1.
        is_dry: Whether it is only said what would be done.
    """

    overwrite: bool = False
    is_dry: bool = False


def move(context: Context, kinds: Sequence[Kind], wish: Wish, progress: Progress) -> Accounts:
    """Move the items of all kinds, in order. Stopped anywhere and begun again, the end is the same.

    Args:
        context: The two databases.
        kinds: Which kinds, what others refer to first.
        wish: How.
        progress: Is told how far it is.

    Returns:
        What became of each row.

    Raises:
        Conflict: V1's database lacks what it has in the release that is known.
    """
    check_columns(context, kinds)
    accounts = Accounts()
    for kind in kinds:
        _move_kind(context, kind, wish, accounts, progress)
        _leave_orphans(context, kind, accounts)
        _tell_gone(context, kind, accounts)
    for kind in kinds:
        accounts.here.update(kind.count_here(context))
    accounts.there.update({table: context.source.count(table) for table in context.source.tables})
    return accounts


def check_columns(context: Context, kinds: Sequence[Kind]) -> None:
    """Make sure that V1's database has what is read of it.

    Raises:
        Conflict: It has not.
    """
    missing = [name for kind in kinds for name in context.source.missing(kind.needs)]
    if missing:
        named = ", ".join(sorted(set(missing))[:5])
        raise Conflict(
            f"the V1 database lacks {named}, though its revision is the one that has it: it is no "
            "whole copy, or the role may not see it. Nothing was changed"
        )


def _move_kind(
    context: Context, kind: Kind, wish: Wish, accounts: Accounts, progress: Progress
) -> None:
    progress(kind, 0)
    for batch in _batches(kind.read(context), kind.batch, accounts):
        try:
            with context.target.batch(is_dry=wish.is_dry):
                _move_batch(context, kind, batch, wish, accounts)
        except _NOT_TAKEN:
            # One row that PostgreSQL does not take is not to keep the others of its batch.
            _move_singly(context, kind, batch, wish, accounts)
        progress(kind, sum(item.tables.get(kind.table, 0) for item in batch))


def _leave_orphans(context: Context, kind: Kind, accounts: Accounts) -> None:
    for table, (column, of) in kind.hang_on.items():
        (found,) = context.source.all(
            f'SELECT count(*) AS n FROM "{table}" AS l '
            f'WHERE NOT EXISTS (SELECT FROM "{of}" AS o WHERE o.id = l.{column})'
        )
        accounts.leave(LeftOut(table, _OF_NOTHING, found["n"]))


def _move_singly(
    context: Context, kind: Kind, batch: Sequence[Item], wish: Wish, accounts: Accounts
) -> None:
    for item in batch:
        try:
            with context.target.batch(is_dry=wish.is_dry):
                _move_batch(context, kind, [item], wish, accounts)
        except _NOT_TAKEN as error:
            reason = f"the database does not take it ({type(error).__name__})"
            for table, count in item.tables.items():
                accounts.leave(LeftOut(table, reason, count, item.id))


def _batches(
    found: Iterator[Item | LeftOut], size: int, accounts: Accounts
) -> Iterator[list[Item]]:
    """Items in batches; what is left out is noted on the way."""

    def items() -> Iterator[Item]:
        for one in found:
            if isinstance(one, LeftOut):
                accounts.leave(one)
            else:
                yield one

    source = items()
    while batch := list(islice(source, size)):
        yield batch


def _move_batch(
    context: Context, kind: Kind, batch: Sequence[Item], wish: Wish, accounts: Accounts
) -> None:
    """One transaction: what is to be written of a batch, and what is known of it then."""
    marks = context.target.marks(kind.name, [item.id for item in batch])
    fates = _fates(context, kind, batch, marks, wish)
    changed = [item for item in batch if fates[item.id] in (Fate.UPDATED, Fate.OVERWRITTEN)]
    if changed and not wish.is_dry:
        kind.lock(context.target, [item.id for item in changed])
        # Somebody may have changed it here until it was locked.
        fates |= _fates(context, kind, changed, marks, wish)
    due = [item for item in batch if fates[item.id].is_written]
    if wish.is_dry:
        kind.look(context, due)
    elif due:
        kind.write(context, due)
    noted = [item for item in batch if fates[item.id].is_written or fates[item.id] is Fate.ADOPTED]
    if noted and not wish.is_dry:
        stands = kind.here(context.target, [item.id for item in noted])
        context.target.store_marks(kind.name, [_mark(item, stands) for item in noted])
    for item in batch:
        accounts.add(kind.name, item, fates[item.id], marks.get(item.id))


def _fates(
    context: Context, kind: Kind, items: Sequence[Item], marks: Mapping[str, Mark], wish: Wish
) -> dict[str, Fate]:
    here = kind.here(context.target, [item.id for item in items])
    return {
        item.id: _fate(kind, item, marks.get(item.id), here.get(item.id), overwrite=wish.overwrite)
        for item in items
    }


def _fate(kind: Kind, item: Item, mark: Mark | None, here: str | None, *, overwrite: bool) -> Fate:
    """What becomes of an item, by how it stands on both sides and stood when it was moved."""
    if mark is None:
        return _fate_of_unmoved(kind, item, here, overwrite=overwrite)
    if here == mark.moved_hash:
        return Fate.UNCHANGED if item.digest == mark.source_hash else Fate.UPDATED
    if overwrite:
        return Fate.OVERWRITTEN
    if here is None:
        return Fate.DELETED_HERE
    return Fate.CHANGED_HERE if item.digest == mark.source_hash else Fate.CHANGED_ON_BOTH


def _fate_of_unmoved(kind: Kind, item: Item, here: str | None, *, overwrite: bool) -> Fate:
    if here is None:
        return Fate.NEW
    if kind.adopts(item):
        return Fate.ADOPTED
    return Fate.OVERWRITTEN if overwrite else Fate.TAKEN


def _mark(item: Item, stands: dict[str, str]) -> Mark:
    return Mark(
        id=item.id,
        organization_id=item.organization_id,
        source_hash=item.digest,
        moved_hash=stands.get(item.id, ""),
        notes={"left": item.left, "told": list(item.told)},
    )


def _tell_gone(context: Context, kind: Kind, accounts: Accounts) -> None:
    for ids in context.target.moved_ids(kind.name):
        for gone in kind.gone(context.source, ids):
            accounts.tell(kind.name, gone, _GONE)
