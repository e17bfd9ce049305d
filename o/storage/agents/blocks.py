"""Statements about blocks. Every version is kept in `block_versions`, by a trigger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    any_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.blocks import Block, limit_fault
from o.errors import Conflict, InvalidInput, NotFound, Outdated
from o.storage.agents.identity_links import BLOCKS, identity_conditions
from o.storage.locks import lock_rows
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_by_id, models_of, row_of
from o.storage.shared_reads import SharedReads
from o.storage.tables.core import agent_blocks, agents, blocks, conversation_blocks

_BY_ID = select(*columns_of(blocks, Block)).where(
    blocks.c.id == any_(bindparam("ids", type_=ARRAY(Text))),
    blocks.c.organization_id == bindparam("organization_id"),
)


@dataclass(frozen=True)
class BlockFilter:
    """Which blocks a list or a count is about; None leaves a criterion out.

    Attributes:
        name: V1's name of a block is that of its template.
        label_search: What the label must hold, upper and lower case alike; so do the other two.
        identity_id: Only blocks that have this identity.
        identifier_keys: Only blocks that have an identity by one of these keys.
        more_agents_than: Only blocks that more agents have.
        fewer_agents_than: Only blocks that fewer agents have.
        agent_counts: Only blocks that this many agents have.
        with_hidden: Whether hidden blocks are among them.
    """

    label: str | None = None
    templates_only: bool = False
    name: str | None = None
    project_id: str | None = None
    tags: Sequence[str] | None = None
    match_all_tags: bool = False
    label_search: str | None = None
    description_search: str | None = None
    value_search: str | None = None
    identity_id: str | None = None
    identifier_keys: Sequence[str] | None = None
    more_agents_than: int | None = None
    fewer_agents_than: int | None = None
    agent_counts: Sequence[int] | None = None
    with_hidden: bool = False


async def add_blocks(connection: AsyncConnection, new: Sequence[Block]) -> None:
    """Store new blocks."""
    if new:
        await connection.execute(insert(blocks).values([row_of(blocks, block) for block in new]))


async def get_block(
    connection: AsyncConnection, actor: Actor, block_id: str, *, lock: bool = False
) -> Block:
    """The block by that id; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _visible(actor).where(blocks.c.id == block_id)
    if lock:
        statement = statement.with_for_update(key_share=True)
    rows = await connection.execute(statement)
    row = rows.mappings().one_or_none()
    if row is None:
        raise block_not_found(block_id)
    return model_of(Block, row)


async def read_block(reads: SharedReads, actor: Actor, block_id: str) -> Block:
    """The block by that id, in a statement that others may share.

    Raises:
        NotFound: There is none for this actor.
    """
    row = await reads.row(_BY_ID, actor.organization_id, block_id)
    if row is None:
        raise block_not_found(block_id)
    return model_of(Block, row._asdict())


async def get_blocks(
    connection: AsyncConnection, actor: Actor, block_ids: Sequence[str]
) -> list[Block]:
    """The blocks by those ids, in that order, each once; they stay as they are until the commit.

    They are locked in the order of their ids, and before any agent is: see `o.storage.locks`.

    Raises:
        NotFound: One of them is not there for this actor.
    """
    ids = list(dict.fromkeys(block_ids))
    if not ids:
        return []
    rows = await connection.execute(
        _visible(actor).where(blocks.c.id.in_(ids)).order_by(blocks.c.id).with_for_update(read=True)
    )
    return models_by_id(Block, rows.mappings(), ids, block_not_found)


async def list_blocks(
    connection: AsyncConnection, actor: Actor, wanted: BlockFilter, page: Page
) -> list[Block]:
    """A page of blocks by the time they were made.

    Raises:
        NotFound: A cursor names no block of this actor.
    """
    statement = await page_by_time(
        connection, _visible(actor).where(*_conditions(wanted)), page, blocks, actor
    )
    return models_of(Block, (await connection.execute(statement)).mappings().all())


async def count_blocks(connection: AsyncConnection, actor: Actor, wanted: BlockFilter) -> int:
    """How many blocks there are of those wanted."""
    statement = select(func.count()).select_from(blocks)
    of_actor = blocks.c.organization_id == actor.organization_id
    return int(await connection.scalar(statement.where(of_actor, *_conditions(wanted))) or 0)


async def change_block(
    connection: AsyncConnection,
    actor: Actor,
    block_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
    changed_by: str | None = None,
    via: str = "api",
    run_id: str | None = None,
    enforce_limit: bool = False,
) -> Block:
    """Apply `changes` (column to value) to a block and count its version up; none change nothing.

    Args:
        connection: In a transaction, because a new label is written to two tables.
        actor: Who may.
        block_id: Which.
        changes: Values that do not depend on what the block held, unless the caller has locked
            it (`get_agent_block(lock=True)`) or names the version that it has seen.
        expected_version: The version that the change was made for; None for any.
        changed_by: Who did it, for the history: the agent whose tool it was, else the actor.
        via: How, for the history: see `Block.changed_via`.
        run_id: The run in whose turn it was done.
        enforce_limit: Whether the block's limit holds.

    Raises:
        NotFound: There is no such block for this actor.
        Outdated: The block has another version than the expected one.
        InvalidInput: The value is over the limit, which holds.
        Conflict: An agent that has the block has another one by the new label, or a conversation
            has the block to itself, under the label of the one that it stands for.
    """
    if not changes:
        return _checked(await get_block(connection, actor, block_id), expected_version)
    if enforce_limit and not changes.keys().isdisjoint(("value", "limit_chars")):
        block = await get_block(connection, actor, block_id, lock=True)
        _check_limit(_checked(block, expected_version), changes)
    statement = update(blocks).where(_is(actor, block_id))
    if expected_version is not None:
        statement = statement.where(blocks.c.version == expected_version)
    rows = await connection.execute(
        statement.values(
            **changes,
            version=blocks.c.version + 1,
            last_updated_by_id=actor.user_id,
            changed_by=changed_by or actor.user_id,
            changed_via=via,
            changed_in=run_id,
            updated_at=func.now(),
        ).returning(*columns_of(blocks, Block))
    )
    row = rows.mappings().one_or_none()
    if row is None:
        return _checked(await get_block(connection, actor, block_id), expected_version)
    if "label" in changes:
        await _relabel(connection, block_id, changes["label"])
    return model_of(Block, row)


async def delete_block(connection: AsyncConnection, actor: Actor, block_id: str) -> None:
    """Delete a block with its history; agents that have it have it no longer.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(blocks).where(_is(actor, block_id)).returning(blocks.c.id)
    )
    if gone.one_or_none() is None:
        raise block_not_found(block_id)


def block_not_found(block_id: str) -> NotFound:
    """What every question says about a block that this actor does not have."""
    return NotFound(f"Block with id {block_id} not found")


def _is(actor: Actor, block_id: str) -> ColumnElement[bool]:
    return (blocks.c.id == block_id) & (blocks.c.organization_id == actor.organization_id)


def _checked(block: Block, expected_version: int | None) -> Block:
    if expected_version not in (None, block.version):
        raise Outdated(
            f"Block {block.id} has version {block.version}, not {expected_version}: "
            "read it again and repeat the change"
        )
    return block


def _check_limit(block: Block, changes: Mapping[str, Any]) -> None:
    chars = len(changes.get("value", block.value))
    limit_chars = changes.get("limit_chars", block.limit_chars)
    if (fault := limit_fault(chars, limit_chars, before=len(block.value))) is not None:
        raise InvalidInput(f"The block {block.label!r} cannot be changed so: {fault}")


async def _relabel(connection: AsyncConnection, block_id: str, label: str) -> None:
    isolated = select(conversation_blocks.c.label).where(conversation_blocks.c.block_id == block_id)
    if await connection.scalar(isolated) not in (None, label):
        raise Conflict("A conversation has this block to itself, so its label cannot be changed")
    having_it = agent_blocks.c.block_id == block_id
    await lock_rows(connection, having_it, agent_blocks.c.agent_id)
    try:
        await connection.execute(update(agent_blocks).where(having_it).values(label=label))
    except IntegrityError:
        raise Conflict(
            f"An agent that has this block has another one with the label {label!r}"
        ) from None


def _visible(actor: Actor) -> Select[Any]:
    return select(*columns_of(blocks, Block)).where(
        blocks.c.organization_id == actor.organization_id
    )


def _conditions(wanted: BlockFilter) -> list[ColumnElement[bool]]:
    equal = {
        blocks.c.label: wanted.label,
        blocks.c.template_name: wanted.name,
        blocks.c.project_id: wanted.project_id,
    }
    held = {
        blocks.c.label: wanted.label_search,
        blocks.c.description: wanted.description_search,
        blocks.c.value: wanted.value_search,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    found += [column.icontains(text, autoescape=True) for column, text in held.items() if text]
    if wanted.templates_only:
        found.append(blocks.c.is_template.is_(True))
    if wanted.tags:
        has = blocks.c.tags.contains if wanted.match_all_tags else blocks.c.tags.overlap
        found.append(has(wanted.tags))
    if not wanted.with_hidden:
        found.append(or_(blocks.c.hidden.is_(None), blocks.c.hidden.is_(False)))
    found += identity_conditions(BLOCKS, wanted.identity_id, wanted.identifier_keys)
    return found + _by_agents(wanted)


def _by_agents(wanted: BlockFilter) -> list[ColumnElement[bool]]:
    count = (
        select(func.count())
        .join_from(agent_blocks, agents, agents.c.id == agent_blocks.c.agent_id)
        .where(agent_blocks.c.block_id == blocks.c.id, agents.c.deleted_at.is_(None))
        .scalar_subquery()
    )
    found: list[ColumnElement[bool]] = []
    if wanted.more_agents_than is not None:
        found.append(count > wanted.more_agents_than)
    if wanted.fewer_agents_than is not None:
        found.append(count < wanted.fewer_agents_than)
    if wanted.agent_counts:
        found.append(count.in_(wanted.agent_counts))
    return found
