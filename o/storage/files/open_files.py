"""Which files an agent has open: opening within its budget, closing, and what was used last.

Whoever changes that holds a lock of the agent's (`lock_open_files`), so that two conversations
which open files at once stay within the budget together.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.files.budget import BY_WINDOW, LARGEST, MOST_OPEN, FileBudget
from o.domain.files.directories import FileView

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('open files of ' || :agent_id, 0))")
_OPEN = text(
    """
    INSERT INTO agent_files (agent_id, file_id, folder_id, is_open, view_start, view_end,
                             last_accessed_at)
    SELECT :agent_id, files.id, files.folder_id, true, wanted.view_start, wanted.view_end,
        clock_timestamp()
    FROM unnest(CAST(:ids AS text[]), CAST(:starts AS integer[]), CAST(:ends AS integer[]))
        AS wanted (id, view_start, view_end)
    JOIN files ON files.id = wanted.id AND files.deleted_at IS NULL
    ON CONFLICT (agent_id, file_id) DO UPDATE SET is_open = true,
        folder_id = excluded.folder_id, view_start = excluded.view_start,
        view_end = excluded.view_end, last_accessed_at = excluded.last_accessed_at
    """
)
_THERE = """
    FROM agent_files AS held JOIN files ON files.id = held.file_id AND files.deleted_at IS NULL
    JOIN agent_folders AS attached
        ON attached.agent_id = held.agent_id AND attached.folder_id = files.folder_id
    WHERE held.agent_id = :agent_id AND held.is_open
"""
# Of those that are equally old, the last by name goes first.
_CLOSE_BEYOND = text(
    f"""
    UPDATE agent_files SET is_open = false, view_start = NULL, view_end = NULL
    FROM (
        SELECT held.file_id, files.file_name {_THERE}
        ORDER BY held.file_id = ANY(CAST(:kept AS text[])) DESC,
            held.last_accessed_at DESC NULLS LAST, files.file_name
        OFFSET :most
    ) AS beyond
    WHERE agent_files.agent_id = :agent_id AND agent_files.file_id = beyond.file_id
    RETURNING beyond.file_name
    """  # noqa: S608
)
_CLOSE = text(
    """
    UPDATE agent_files AS held SET is_open = false, view_start = NULL, view_end = NULL
    FROM files
    WHERE held.agent_id = :agent_id AND held.is_open AND files.id = held.file_id
      AND files.deleted_at IS NULL -- others are being purged
      AND (CAST(:ids AS text[]) IS NULL OR held.file_id = ANY(CAST(:ids AS text[])))
      AND NOT held.file_id = ANY(CAST(:kept AS text[]))
    RETURNING files.file_name
    """
)
_COUNT = text(f"SELECT count(*) {_THERE}")
_OLDEST = text(
    """
    SELECT files.id FROM files
    LEFT JOIN agent_files AS held ON held.file_id = files.id AND held.agent_id = :agent_id
    WHERE files.folder_id = :folder_id AND files.deleted_at IS NULL
      AND held.is_open IS NOT TRUE
    ORDER BY files.created_at, files.id LIMIT :room
    """
)
_LOCK_OF_FOLDER = text(
    """
    SELECT pg_advisory_xact_lock(hashtextextended('open files of ' || held.agent_id, 0))
    FROM (
        SELECT agent_id FROM agent_folders WHERE folder_id = :folder_id ORDER BY agent_id
    ) AS held
    """
)
# `FileBudget.max_open` in SQL.
_SIZES = " ".join(f"WHEN context_window <= {window} THEN {most}" for window, (most, _) in BY_WINDOW)
_OPEN_WHERE_ROOM = text(
    f"""
    INSERT INTO agent_files (agent_id, file_id, folder_id, is_open, last_accessed_at)
    SELECT agents.id, :file_id, :folder_id, true, clock_timestamp()
    FROM agents JOIN agent_folders AS held ON held.agent_id = agents.id
    WHERE held.folder_id = :folder_id AND agents.deleted_at IS NULL AND (
        SELECT count(*) FROM agent_files
        JOIN files ON files.id = agent_files.file_id AND files.deleted_at IS NULL
        WHERE agent_files.agent_id = agents.id AND agent_files.is_open
    ) < coalesce(least(agents.max_files_open, {MOST_OPEN}), CASE {_SIZES} ELSE {LARGEST[0]} END)
    ON CONFLICT (agent_id, file_id) DO NOTHING
    """  # noqa: S608
)
_USED = text(
    """
    WITH used AS (
        SELECT file_id FROM agent_files
        WHERE agent_id = :agent_id AND file_id = ANY(CAST(:ids AS text[]))
        ORDER BY file_id FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE agent_files SET last_accessed_at = clock_timestamp()
    FROM used WHERE agent_files.agent_id = :agent_id AND agent_files.file_id = used.file_id
    """
)


async def lock_open_files(connection: AsyncConnection, agent_id: str) -> None:
    """Nobody else opens or closes files of this agent until the transaction ends.

    For its place among locks see `o.storage.locks`.
    """
    await connection.execute(_LOCK, {"agent_id": agent_id})


async def open_files(
    connection: AsyncConnection,
    agent: Agent,
    wanted: Sequence[FileView],
    *,
    close_others: bool = False,
) -> list[str]:
    """Open files, and close those that were used longest ago where there are too many.

    What is opened again is seen as it is asked for now. Repeating it changes nothing but the time.

    Args:
        connection: In a transaction, with the agent's lock (`lock_open_files`).
        agent: Whose budget counts; more than that are never open.
        wanted: Files of its folders, none twice; one that is gone is passed over.
        close_others: Close all other files first.

    Returns:
        The names of files that were closed.
    """
    given: dict[str, Any] = {"agent_id": agent.id, "kept": [one.file_id for one in wanted]}
    closed: list[str] = []
    if close_others:
        rows = await connection.execute(_CLOSE, given | {"ids": None})
        closed += rows.scalars()
    views = {
        "ids": given["kept"],
        "starts": [one.start for one in wanted],
        "ends": [one.end for one in wanted],
    }
    await connection.execute(_OPEN, {"agent_id": agent.id, **views})
    most = {"most": FileBudget.of(agent).max_open}
    closed += (await connection.execute(_CLOSE_BEYOND, given | most)).scalars()
    return sorted(closed)


async def open_up_to_budget(connection: AsyncConnection, agent: Agent, folder_id: str) -> None:
    """Open files of a folder as far as there is room, the oldest ones; closes none.

    Args:
        connection: In a transaction, with the agent's lock (`lock_open_files`).
        agent: Whose budget counts.
        folder_id: One of its folders.
    """
    taken = int(await connection.scalar(_COUNT, {"agent_id": agent.id}) or 0)
    room = FileBudget.of(agent).max_open - taken
    if room <= 0:
        return
    given = {"agent_id": agent.id, "folder_id": folder_id, "room": room}
    found = (await connection.execute(_OLDEST, given)).scalars().all()
    if found:
        await open_files(connection, agent, [FileView(id_) for id_ in found])


async def lock_open_files_of(connection: AsyncConnection, folder_id: str) -> None:
    """The same of all agents that have a folder, which is locked."""
    await connection.execute(_LOCK_OF_FOLDER, {"folder_id": folder_id})


async def open_for_agents(connection: AsyncConnection, folder_id: str, file_id: str) -> None:
    """Open a file that has come for the agents of its folder that have room, as V1 does.

    Args:
        connection: In a transaction, with the locks of all these agents (`lock_open_files_of`).
        folder_id: Whose agents.
        file_id: A file of it.
    """
    await connection.execute(_OPEN_WHERE_ROOM, {"folder_id": folder_id, "file_id": file_id})


async def close_files(
    connection: AsyncConnection, agent_id: str, file_ids: Collection[str] | None
) -> list[str]:
    """Close files of an agent, all of them for None; one that is closed already stays so.

    Args:
        connection: In a transaction, with the agent's lock (`lock_open_files`).
        agent_id: The caller has found it for an actor.
        file_ids: Which.

    Returns:
        The names of those that were open.
    """
    ids = None if file_ids is None else list(file_ids)
    rows = await connection.execute(_CLOSE, {"agent_id": agent_id, "ids": ids, "kept": []})
    return sorted(rows.scalars())


async def note_use(connection: AsyncConnection, agent_id: str, file_ids: Collection[str]) -> None:
    """A search has shown these files to the agent: they are not the next ones to be closed."""
    if file_ids:
        await connection.execute(_USED, {"agent_id": agent_id, "ids": list(file_ids)})
