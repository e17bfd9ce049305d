"""Statements about the history of blocks. A trigger of `blocks` keeps every version.

Undo and redo make new versions, and nothing is taken out of a history. Each version says which one
first brought its content (`origin`) and where undo and redo lead from there. An edit comes behind
the content that it changed, so undo leads back to that; what was undone before it stays in the
history, and no redo leads there any more.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, any_, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger

from o.domain.actors import Actor
from o.domain.blocks import Block, BlockVersion
from o.errors import Conflict, NotFound
from o.storage.agents.blocks import change_block, get_block
from o.storage.pages import Page
from o.storage.rows import model_of, models_of
from o.storage.tables.core import block_versions

# The index by which long histories are found has one of a thousand versions.
_IN_INDEX = text("block_versions.version % 1000 = 0")

Direction = Literal["undo", "redo"]


async def list_versions(
    connection: AsyncConnection, actor: Actor, block_id: str, page: Page
) -> list[BlockVersion]:
    """A page of a block's versions without their values; cursors are numbers, as text.

    Raises:
        NotFound: There is no such block for this actor, or a cursor is no number.
    """
    await get_block(connection, actor, block_id)
    number = block_versions.c.version
    statement = _versions(with_value=False).where(block_versions.c.block_id == block_id)
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            place = _number(cursor)
            statement = statement.where(number > place if forward else number < place)
    in_order = statement.order_by(number if page.ascending else number.desc()).limit(page.limit)
    return models_of(BlockVersion, (await connection.execute(in_order)).mappings().all())


async def get_version(
    connection: AsyncConnection, actor: Actor, block_id: str, version: int
) -> BlockVersion:
    """A block as it was.

    Raises:
        NotFound: There is no such block for this actor, or that version of it is not kept.
    """
    found = await find_versions(connection, actor, block_id, [version])
    return found[version]


async def find_versions(
    connection: AsyncConnection, actor: Actor, block_id: str, numbers: Sequence[int]
) -> dict[int, BlockVersion]:
    """Versions of a block by their numbers.

    Raises:
        NotFound: There is no such block for this actor, or one of the versions is not kept.
    """
    await get_block(connection, actor, block_id)
    found = await _read(
        connection,
        block_versions.c.block_id == block_id,
        block_versions.c.version == any_(literal(list(numbers), ARRAY(BigInteger))),
    )
    by_number = {version.version: version for version in found}
    for number in numbers:
        if number not in by_number:
            raise NotFound(f"Version {number} of block {block_id} is not there, or no longer kept")
    return by_number


async def step_through(
    connection: AsyncConnection,
    actor: Actor,
    block_id: str,
    direction: Direction,
    *,
    expected_version: int | None = None,
    enforce_limit: bool = False,
) -> Block:
    """Undo the newest change that is not undone, or redo the one that was undone last.

    Args:
        connection: In a transaction.
        actor: Who does it.
        block_id: Which block.
        direction: Which of the two.
        expected_version: The version that it is meant for; None for any.
        enforce_limit: See `change_block`.

    Raises:
        NotFound: There is no such block for this actor.
        Outdated: The block has another version than the expected one.
        Conflict: There is nothing to undo or redo, or what it was is no longer kept; or its label
            of then is taken now.
        InvalidInput: The value of then is over the limit, which holds.
    """
    block = await get_block(connection, actor, block_id, lock=True)
    (now,) = await _read(
        connection,
        block_versions.c.block_id == block_id,
        block_versions.c.version == block.version,
    )
    target = now.undone if direction == "undo" else now.redo_to
    if target is None:
        raise Conflict(f"Block {block_id} has no change to {direction}")
    there = await _last_with_origin(connection, block_id, target)
    if there is None:
        raise Conflict(f"Version {target} of block {block_id} is no longer kept")
    places = {"origin": target, "undo_to": there.undone, "redo_to": now.brought_by}
    if direction == "redo":
        places |= {"undo_to": now.brought_by, "redo_to": there.redo_to}
    changed = await change_block(
        connection,
        actor,
        block_id,
        _changes(block, there),
        expected_version=expected_version,
        via=direction,
        enforce_limit=enforce_limit,
    )
    is_new = _is_version(block_id, changed.version)
    await connection.execute(update(block_versions).where(*is_new).values(places))
    return changed


async def restore_version(
    connection: AsyncConnection,
    actor: Actor,
    block_id: str,
    version: int,
    *,
    expected_version: int | None = None,
    enforce_limit: bool = False,
) -> Block:
    """Have a block hold again what it held in a version; this is an edit, which undo takes back.

    Raises:
        NotFound: There is no such block for this actor, or that version of it is not kept.
        Outdated, Conflict, InvalidInput: As of `step_through`.
    """
    block = await get_block(connection, actor, block_id, lock=True)
    there = await get_version(connection, actor, block_id, version)
    return await change_block(
        connection,
        actor,
        block_id,
        _changes(block, there),
        expected_version=expected_version,
        via="restore",
        enforce_limit=enforce_limit,
    )


async def forget_versions(connection: AsyncConnection, actor: Actor, block_id: str) -> int:
    """Delete all versions of a block but its newest, from which no undo and redo lead any more.

    Returns:
        How many.

    Raises:
        NotFound: There is no such block for this actor.
    """
    block = await get_block(connection, actor, block_id, lock=True)
    gone = await connection.execute(
        delete(block_versions).where(
            block_versions.c.block_id == block_id, block_versions.c.version < block.version
        )
    )
    await connection.execute(
        update(block_versions)
        .where(*_is_version(block_id, block.version))
        .values(origin=block.version, undo_to=None, redo_to=None)
    )
    return gone.rowcount


async def purge_versions(connection: AsyncConnection, *, kept: int, limit: int) -> int:
    """Delete the oldest versions of blocks that have many more than those `kept`.

    Only one version of a thousand is looked at to find them, so that up to a thousand more stay.

    Returns:
        How many were deleted, at most `limit`.
    """
    newest = func.max(block_versions.c.version)
    long = (
        select(block_versions.c.block_id, newest.label("newest"))
        .where(_IN_INDEX)
        .group_by(block_versions.c.block_id)
        .having(newest > kept)
        .subquery()
    )
    old = (
        select(block_versions.c.block_id, block_versions.c.version)
        .join(long, long.c.block_id == block_versions.c.block_id)
        .where(block_versions.c.version <= long.c.newest - kept)
        .order_by(block_versions.c.block_id, block_versions.c.version)
        .limit(limit)
        .with_for_update(of=block_versions, skip_locked=True)
        .subquery()
    )
    gone = await connection.execute(
        delete(block_versions).where(
            block_versions.c.block_id == old.c.block_id, block_versions.c.version == old.c.version
        )
    )
    return gone.rowcount


def _versions(*, with_value: bool) -> Select[Any]:
    shown = [
        column
        for column in block_versions.c
        if column.name in BlockVersion.model_fields and (with_value or column.name != "value")
    ]
    return select(*shown, func.char_length(block_versions.c.value).label("chars"))


async def _read(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> list[BlockVersion]:
    rows = await connection.execute(_versions(with_value=True).where(*conditions))
    return [model_of(BlockVersion, row) for row in rows.mappings()]


def _is_version(block_id: str, version: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return block_versions.c.block_id == block_id, block_versions.c.version == version


async def _last_with_origin(
    connection: AsyncConnection, block_id: str, origin: int
) -> BlockVersion | None:
    """The version in which the block last held what `origin` brought, and where redo led then."""
    brought_by = func.coalesce(block_versions.c.origin, block_versions.c.version)
    statement = (
        _versions(with_value=True)
        .where(block_versions.c.block_id == block_id, brought_by == origin)
        .order_by(block_versions.c.version.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else model_of(BlockVersion, row)


def _changes(block: Block, there: BlockVersion) -> dict[str, Any]:
    """What makes `there` of the block; the value always, so that a new version comes of it."""
    held = there.content
    now = block.model_dump(include=set(held))
    return {
        name: value for name, value in held.items() if name == "value" or now.get(name) != value
    }


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise NotFound(f"Cursor {cursor[:100]} is no version")
    return int(cursor)
