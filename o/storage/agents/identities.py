"""Statements about identities by themselves; `identity_links` says who has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, delete, func, select, type_coerce, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.identities import Identity
from o.errors import Conflict, NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_by_id, models_of, row_of
from o.storage.tables.core import agents
from o.storage.tables.identities import agent_identities, block_identities, identities

_AGENT_IDS = func.array(
    select(agent_identities.c.agent_id)
    .join(agents, agents.c.id == agent_identities.c.agent_id)
    .where(agent_identities.c.identity_id == identities.c.id, agents.c.deleted_at.is_(None))
    .order_by(agents.c.created_at, agents.c.id)
    .scalar_subquery()
)
_BLOCK_IDS = func.array(
    select(block_identities.c.block_id)
    .where(block_identities.c.identity_id == identities.c.id)
    .order_by(block_identities.c.block_id)
    .scalar_subquery()
)
_SHOWN = (
    *columns_of(identities, Identity),
    type_coerce(_AGENT_IDS, ARRAY(Text)).label("agent_ids"),
    type_coerce(_BLOCK_IDS, ARRAY(Text)).label("block_ids"),
)


@dataclass(frozen=True)
class IdentityFilter:
    """Which identities a list is about; None leaves a criterion out."""

    name: str | None = None
    project_id: str | None = None
    identifier_key: str | None = None
    identity_type: str | None = None


async def add_identity(connection: AsyncConnection, identity: Identity) -> None:
    """Store a new identity, without who has it.

    Raises:
        Conflict: There is one by its key in its project.
    """
    if not await _insert(connection, identity):
        raise _key_is_taken(identity.identifier_key, identity.project_id)


async def add_or_find_identity(
    connection: AsyncConnection, actor: Actor, identity: Identity
) -> str:
    """Store a new identity, without who has it, unless there is one by its key in its project.

    Returns:
        The id of the one that is there then; one that was there is locked.
    """
    while not await _insert(connection, identity):
        found = await _find(connection, actor, identity)
        if found is not None:  # else it was deleted between the two
            return found
    return identity.id


async def get_identity(
    connection: AsyncConnection, actor: Actor, identity_id: str, *, lock: bool = False
) -> Identity:
    """The identity by that id; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _shown().where(_is(actor, identity_id))
    if lock:
        statement = statement.with_for_update(of=identities, key_share=True)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise identity_not_found(identity_id)
    return model_of(Identity, row)


async def get_identities(
    connection: AsyncConnection, actor: Actor, identity_ids: Sequence[str]
) -> list[Identity]:
    """The identities by those ids, each once; they stay until the commit.

    Locked by id, and behind agents and blocks: see `o.storage.locks`.

    Raises:
        NotFound: One of them is not there for this actor.
    """
    ids = list(dict.fromkeys(identity_ids))
    if not ids:
        return []
    rows = await connection.execute(
        select(*columns_of(identities, Identity))
        .where(_is_of(actor), identities.c.id.in_(ids))
        .order_by(identities.c.id)
        .with_for_update(read=True, key_share=True)
    )
    return models_by_id(Identity, rows.mappings(), ids, identity_not_found)


async def list_identities(
    connection: AsyncConnection, actor: Actor, wanted: IdentityFilter, page: Page
) -> list[Identity]:
    """A page of identities by the time they were made.

    Raises:
        NotFound: A cursor names no identity of this actor.
    """
    statement = await page_by_time(
        connection, _shown().where(_is_of(actor), *_conditions(wanted)), page, identities, actor
    )
    return models_of(Identity, (await connection.execute(statement)).mappings().all())


async def count_identities(connection: AsyncConnection, actor: Actor) -> int:
    """How many identities the actor has."""
    statement = select(func.count()).select_from(identities).where(_is_of(actor))
    return int(await connection.scalar(statement) or 0)


async def change_identity(
    connection: AsyncConnection, actor: Actor, identity_id: str, changes: Mapping[str, Any]
) -> None:
    """Apply `changes` (column to value) to an identity that the caller has locked.

    Raises:
        Conflict: There is another one by its new key.
    """
    if not changes:
        return
    try:
        await connection.execute(
            update(identities)
            .where(_is(actor, identity_id))
            .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
        )
    except IntegrityError:
        raise _key_is_taken(str(changes.get("identifier_key")), None) from None


async def delete_identity(connection: AsyncConnection, actor: Actor, identity_id: str) -> None:
    """Delete an identity; agents and blocks that have it have it no longer.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(identities).where(_is(actor, identity_id)).returning(identities.c.id)
    )
    if gone.one_or_none() is None:
        raise identity_not_found(identity_id)


def identity_not_found(identity_id: str) -> NotFound:
    """What every question says about an identity that this actor does not have."""
    return NotFound(f"Identity with id {identity_id[:100]} not found")


async def _insert(connection: AsyncConnection, identity: Identity) -> bool:
    made = await connection.execute(
        insert(identities)
        .values(row_of(identities, identity))
        .on_conflict_do_nothing()
        .returning(identities.c.id)
    )
    return made.one_or_none() is not None


async def _find(connection: AsyncConnection, actor: Actor, like: Identity) -> str | None:
    statement = select(identities.c.id).where(
        _is_of(actor),
        identities.c.identifier_key == like.identifier_key,
        identities.c.project_id.is_not_distinct_from(like.project_id),
    )
    found: str | None = await connection.scalar(statement.with_for_update(key_share=True))
    return found


def _shown() -> Select[Any]:
    return select(*_SHOWN)


def _is_of(actor: Actor) -> ColumnElement[bool]:
    return identities.c.organization_id == actor.organization_id


def _is(actor: Actor, identity_id: str) -> ColumnElement[bool]:
    return (identities.c.id == identity_id) & _is_of(actor)


def _conditions(wanted: IdentityFilter) -> list[ColumnElement[bool]]:
    equal = {
        identities.c.name: wanted.name,
        identities.c.project_id: wanted.project_id,
        identities.c.identifier_key: wanted.identifier_key,
        identities.c.identity_type: wanted.identity_type,
    }
    return [column == value for column, value in equal.items() if value is not None]


def _key_is_taken(key: str, project_id: str | None) -> Conflict:
    where = "" if project_id is None else f" in the project {project_id[:100]!r}"
    return Conflict(
        f"There is an identity by the identifier_key {key[:100]!r}{where} already: "
        "PUT /v1/identities/ changes it"
    )
