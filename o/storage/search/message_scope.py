"""Whose messages are searched, and which vectors there are of them."""

from dataclasses import dataclass

from sqlalchemy import text

from o.storage.search.embedded import MESSAGES
from o.storage.search.session import Ask
from o.storage.search.vectors import SearchedSpace

_MOST_COMPARED = 20_000
"""Vectors of one agent that are all compared: an index over those of all agents would throw away
most of what it finds."""

# Where messages are no longer embedded, or by another model from now on, nobody asks for vectors.
_SCOPE = text(
    """
    SELECT vector_spaces.id, vector_spaces.handle, dimension, vector_count,
        message_spaces.index_name, providers_mark, (
            SELECT count(*) FROM (
                SELECT FROM message_vectors
                WHERE space_id = vector_spaces.id AND agent_id = CAST(:agent_id AS text)
                LIMIT :most + 1
            ) AS counted
        ) AS of_agent
    FROM message_spaces
    JOIN message_embedding ON true
    JOIN vector_spaces ON vector_spaces.id = space_id
        AND vector_spaces.handle = message_embedding.handle
    JOIN organizations ON organizations.id = message_spaces.organization_id
    WHERE message_spaces.organization_id = :organization_id
    """
)


@dataclass(frozen=True)
class MessageScope:
    """Whose messages are searched.

    Attributes:
        space: Their vectors; None where there are none.
        providers_mark: What the organization's providers are known by now: see `ProviderSource`.
    """

    organization_id: str
    space: SearchedSpace | None = None
    providers_mark: str | None = None


async def message_scope(ask: Ask, organization_id: str, agent_id: str | None) -> MessageScope:
    """What is searched of an organization, or of one of its agents.

    Args:
        ask: Sends a statement.
        organization_id: Whose messages.
        agent_id: None for those of all agents.
    """
    given = {"organization_id": organization_id, "agent_id": agent_id, "most": _MOST_COMPARED}
    rows = await ask(_SCOPE, given, None)
    if not rows or not (rows[0].vector_count if agent_id is None else rows[0].of_agent):
        return MessageScope(organization_id)
    row = rows[0]
    is_few = agent_id is not None and row.of_agent <= _MOST_COMPARED
    space = SearchedSpace(
        id=row.id,
        handle=row.handle,
        dimension=row.dimension,
        archive_ids=None,
        total=row.of_agent if is_few else row.vector_count,
        has_index=row.index_name is not None and not is_few,
        kept=MESSAGES,
    )
    return MessageScope(organization_id, space, row.providers_mark)
