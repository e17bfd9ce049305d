"""Searching messages: by their words, by their meaning, or by both, in all conversations."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, func, select

from o.domain.messages import Message, Role
from o.storage.history.messages import IN_A_LIVE_CONVERSATION, NOT_SHARED
from o.storage.rows import columns_of, model_of
from o.storage.search.fusion import Hit, Ranked, fused
from o.storage.search.message_scope import MessageScope
from o.storage.search.passages import DEEPEST, Mode, VectorsOf
from o.storage.search.plan import scope_of
from o.storage.search.session import Ask, statement_of
from o.storage.search.vectors import find_by_vector
from o.storage.search.words import Corpus, find_by_words
from o.storage.tables.core import agents, messages

SEARCHED_ROLES = (Role.USER, Role.ASSISTANT)
"""Whose words are kept. What tools return is left out, as in V1."""

_OWN = "(SELECT id FROM conversations WHERE agent_id = :agent_id AND is_default)"
_NO_VECTOR = """
    NOT EXISTS (
        SELECT FROM message_vectors
        WHERE message_id = ranked.id AND space_id = CAST(:space AS bigint)
    )
"""
_READ = (
    select(*columns_of(messages, Message))
    .join(agents, agents.c.id == messages.c.agent_id)
    .where(
        messages.c.id == func.any(bindparam("ids", type_=ARRAY(Text))),
        messages.c.organization_id == bindparam("organization_id", type_=Text),
        messages.c.run_id.is_distinct_from(bindparam("not_of_run", type_=Text)),
        agents.c.deleted_at.is_(None),
        IN_A_LIVE_CONVERSATION,
        NOT_SHARED,
    )
)
_MORE = 3
"""How many times as many are looked for: some may be in conversations that were deleted."""


@dataclass(frozen=True)
class MessageFilter:
    """Which messages are wanted, beside what they say.

    Attributes:
        agent_id: None for those of all agents.
        conversation_id: None for those of all conversations; `default` is the agent's own thread.
        not_of_run: A run whose messages are left out: whoever searches in it has them before them.
        roles: Of those that are searched.
        since: The earliest time.
        until: The latest time, which is included.
        before: The first time that is too late; for those who name whole days.
    """

    agent_id: str | None = None
    conversation_id: str | None = None
    not_of_run: str = ""
    roles: Sequence[Role] = SEARCHED_ROLES
    since: datetime | None = None
    until: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class FoundMessage:
    """A message with its place among the results."""

    message: Message
    ranked: Ranked


async def search_messages(
    ask: Ask,
    scope: MessageScope,
    query: str,
    vectors: VectorsOf,
    *,
    mode: Mode = "hybrid",
    wanted: MessageFilter,
    limit: int,
) -> list[FoundMessage]:
    """The messages that fit a query best; without a query, the newest.

    A message that a conversation shares with its forks is found once. Both arms search at the same
    time, each with a connection while it asks.

    Args:
        ask: Sends a statement.
        scope: Whose messages.
        query: Whatever a person or a model wrote.
        vectors: Makes the query's, where it is searched by meaning.
        mode: By words, by meaning, or by both; without vectors by words, whatever it says.
        wanted: What else they must be.
        limit: How many at most.
    """
    roles = [role.value for role in wanted.roles if role in SEARCHED_ROLES]
    if not roles:
        return []
    condition, values = _condition(wanted, roles, "message_terms")
    if not query.strip():
        newest = await _newest(ask, scope.organization_id, condition, values, limit)
        return (await _read(ask, scope.organization_id, wanted, newest))[:limit]
    corpus = _corpus(scope, wanted, condition, values)
    deep = max(limit * _MORE, DEEPEST)

    async def near() -> list[Hit]:
        made = {} if mode == "text" or scope.space is None else await vectors()
        if scope.space is None or scope.space.id not in made:
            return []
        of_vectors, values = _condition(wanted, roles, "v")
        return await find_by_vector(
            ask,
            scope.space,
            made[scope.space.id],
            condition=of_vectors,
            values=values,
            limit=deep,
        )

    async def said() -> list[Hit]:
        return await find_by_words(ask, corpus, query, limit=deep)

    if mode == "hybrid":
        found, words = await asyncio.gather(near(), said())
    else:
        found = await near()
        words = [] if found else await said()
    return await _ranked(ask, scope.organization_id, wanted, words, found, limit)


async def _ranked(
    ask: Ask,
    organization_id: str,
    wanted: MessageFilter,
    words: Sequence[Hit],
    near: Sequence[Hit],
    limit: int,
) -> list[FoundMessage]:
    """What both arms have found in one order; what was left out as it was read has no place."""
    first = fused(words, [near], limit=len(words) + len(near))[: max(limit * _MORE, DEEPEST)]
    found = await _read(ask, organization_id, wanted, first)
    stored = {one.message.id: one.message for one in found}
    words = [hit for hit in words if hit.id in stored]
    near = [hit for hit in near if hit.id in stored]
    bare = {hit.id for hit in words[:limit] if hit.is_bare} if near else set()
    places = fused(words, [near] if near else (), without_vector=bare, limit=limit)
    return [FoundMessage(stored[one.id], one) for one in places]


def _condition(
    wanted: MessageFilter, roles: Sequence[str], table: str
) -> tuple[str, dict[str, Any]]:
    """In SQL, about the columns of a table that has what is asked for."""
    conditions = [f"{table}.role = ANY(CAST(:roles AS text[]))"]
    values: dict[str, Any] = {"roles": list(roles)}
    for name, operator in (("since", ">="), ("until", "<="), ("before", "<")):
        if (moment := getattr(wanted, name)) is not None:
            conditions.append(f"{table}.created_at {operator} :{name}")
            values[name] = moment
    for name in ("agent_id", "conversation_id"):
        if (owner := getattr(wanted, name)) is not None:
            is_own = name == "conversation_id" and owner == "default"
            conditions.append(f"{table}.{name} = {_OWN if is_own else f':{name}'}")
            values[name] = owner
    return " AND ".join(conditions), values


def _corpus(
    scope: MessageScope, wanted: MessageFilter, condition: str, values: Mapping[str, Any]
) -> Corpus:
    """Of an agent the newest messages are sampled, of an organization some of each newest agent."""
    whose = "agents.id = :agent_id" if wanted.agent_id else "agents.organization_id = :owner"
    return Corpus(
        rows=f"FROM message_terms WHERE {condition}",
        id="message_terms.message_id",
        sample=f"""
            SELECT one.terms FROM (
                SELECT id FROM agents WHERE {whose} AND deleted_at IS NULL
                ORDER BY created_at DESC LIMIT 20
            ) AS agent, LATERAL (
                SELECT terms FROM messages
                JOIN message_terms ON message_terms.message_id = messages.id
                WHERE messages.agent_id = agent.id
                ORDER BY messages.created_at DESC, messages.position DESC
                LIMIT CASE WHEN :of_one_agent THEN :sample ELSE :sample / 20 END
            ) AS one
        """,  # noqa: S608
        scopes=[scope_of(wanted.agent_id or scope.organization_id)],
        values={
            "owner": scope.organization_id,
            "of_one_agent": wanted.agent_id is not None,
            "space": None if scope.space is None else scope.space.id,
            **values,
        },
        is_bare=_NO_VECTOR,
    )


async def _newest(
    ask: Ask,
    organization_id: str,
    condition: str,
    values: Mapping[str, Any],
    limit: int,
) -> list[Ranked]:
    statement = f"""
        SELECT one.message_id FROM agents, LATERAL (
            SELECT message_id, messages.created_at, messages.position
            FROM messages JOIN message_terms ON message_terms.message_id = messages.id
            WHERE messages.agent_id = agents.id AND {condition}
            ORDER BY messages.created_at DESC, messages.position DESC LIMIT :limit
        ) AS one
        WHERE agents.organization_id = :owner AND agents.deleted_at IS NULL
          AND (CAST(:only AS text) IS NULL OR agents.id = :only)
        ORDER BY one.created_at DESC, one.position DESC, one.message_id DESC LIMIT :limit
    """  # noqa: S608
    more = {
        "owner": organization_id,
        "only": values.get("agent_id"),
        "limit": limit * _MORE,
    }
    rows = await ask(statement_of(statement), {**values, **more})
    return [Ranked(row.message_id, 0.0) for row in rows]


async def _read(
    ask: Ask, organization_id: str, wanted: MessageFilter, found: Sequence[Ranked]
) -> list[FoundMessage]:
    """What was found, as it is stored; what was deleted, or is a copy, is left out."""
    if not found:
        return []
    values = {
        "ids": [one.id for one in found],
        "organization_id": organization_id,
        "not_of_run": wanted.not_of_run,
    }
    rows = await ask(_READ, values, None)
    stored = {row.id: model_of(Message, row._asdict()) for row in rows}
    return [FoundMessage(stored[one.id], one) for one in found if one.id in stored]
