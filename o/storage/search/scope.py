"""Whose passages are searched, and which vectors there are of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from o.storage.search.session import Ask
from o.storage.search.vectors import SearchedSpace

_SAMPLED_ARCHIVES = 50
# All of an organization's are its archives; a folder's passages are searched where it is named.
_SCOPE = text(
    """
    SELECT archives.id, archives.passage_count, archives.is_folder, space_id, handle, dimension,
        index_name, EXISTS (
            SELECT FROM folders WHERE folders.organization_id = :organization_id) AS has_folders,
        (SELECT providers_mark FROM organizations WHERE id = :organization_id) AS providers_mark
    FROM archives LEFT JOIN vector_spaces ON vector_spaces.id = archives.space_id
    WHERE archives.organization_id = :organization_id AND archives.deleted_at IS NULL
      AND CASE WHEN CAST(:ids AS text[]) IS NULL THEN NOT archives.is_folder
        ELSE archives.id = ANY(CAST(:ids AS text[])) END
    ORDER BY archives.passage_count DESC, archives.id
    """
)
_SCOPE_OF_AGENT = text(
    """
    SELECT agents.timezone, archives.id, archives.passage_count, archives.is_folder, space_id,
        handle, dimension, index_name,
        (SELECT providers_mark FROM organizations WHERE id = :organization_id) AS providers_mark
    FROM agents
    LEFT JOIN agent_archives ON agent_archives.agent_id = agents.id
    LEFT JOIN archives ON archives.id = agent_archives.archive_id
        AND archives.organization_id = agents.organization_id AND archives.deleted_at IS NULL
    LEFT JOIN vector_spaces ON vector_spaces.id = archives.space_id
    WHERE agents.id = :agent_id AND agents.organization_id = :organization_id
      AND agents.deleted_at IS NULL
    ORDER BY archives.passage_count DESC, archives.id
    """
)


@dataclass(frozen=True)
class PassageScope:
    """Whose passages are searched.

    Attributes:
        archive_ids: None for all archives of the organization.
        sampled: Archives that words are counted in.
        total: How many passages there are.
        spaces: The vectors that there are of them.
        of_files: Whether some are of files, which may have been deleted a moment ago.
        providers_mark: What the organization's providers are known by now: see `ProviderSource`.
    """

    organization_id: str
    archive_ids: Sequence[str] | None
    sampled: Sequence[str]
    total: int
    spaces: Sequence[SearchedSpace]
    providers_mark: str | None
    of_files: bool = False


async def passage_scope(
    ask: Ask, organization_id: str, archive_ids: Sequence[str] | None
) -> PassageScope:
    """What is searched in some archives, or in all of an organization.

    Args:
        ask: Sends a statement.
        organization_id: Archives of others are left out.
        archive_ids: None for all.
    """
    ids = None if archive_ids is None else list(archive_ids)
    rows = await ask(_SCOPE, {"organization_id": organization_id, "ids": ids}, None)
    # Where there are folders, vectors of their passages are in the same spaces.
    is_every_vector = archive_ids is None and not (rows and rows[0].has_folders)
    return _scope(
        organization_id, rows, is_everything=archive_ids is None, is_every_vector=is_every_vector
    )


async def scope_of_agent(
    ask: Ask, organization_id: str, agent_id: str
) -> tuple[str, PassageScope] | None:
    """The timezone of an agent, and what is searched for it; None where there is no such agent.

    Args:
        ask: Sends a statement.
        organization_id: Whose agent it is.
        agent_id: Its archives are those that are searched.
    """
    values = {"organization_id": organization_id, "agent_id": agent_id}
    rows = await ask(_SCOPE_OF_AGENT, values, None)
    if not rows:
        return None
    held = [row for row in rows if row.id is not None]
    return rows[0].timezone, _scope(organization_id, held)


def _scope(
    organization_id: str,
    rows: Sequence[Any],
    *,
    is_everything: bool = False,
    is_every_vector: bool = False,
) -> PassageScope:
    of_space = defaultdict(list)
    for row in rows:
        if row.space_id is not None:
            of_space[row.space_id].append(row)
    spaces = [
        SearchedSpace(
            id=space_id,
            handle=held[0].handle,
            dimension=held[0].dimension,
            archive_ids=None if is_every_vector else [row.id for row in held],
            total=sum(row.passage_count for row in held),
            has_index=held[0].index_name is not None,
        )
        for space_id, held in of_space.items()
    ]
    ids = [row.id for row in rows]
    return PassageScope(
        organization_id,
        None if is_everything else ids,
        ids[:_SAMPLED_ARCHIVES],
        sum(row.passage_count for row in rows),
        spaces,
        rows[0].providers_mark if rows else None,
        of_files=any(row.is_folder for row in rows),
    )
