"""What an agent's prompt shows of its folders: which files there are, and the lines that it sees.

A turn asks for a digest of the list alone (`DIRECTORIES_DIGEST`): the list and what is open are
read when the prompt is compiled, which is when the digest has changed.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.files.budget import FileBudget
from o.domain.files.directories import Directories, Directory, FileView
from o.domain.files.folders import AgentFile
from o.memory.file_views import file_view
from o.storage.rows import model_of_json

_LISTED = 100
"""Closed files that are listed of each folder."""
_FOLDERS = 100
_LAST_LINE = 1 << 30

_ONE = """
    SELECT files.id, files.file_name AS name, files.processing_status AS status,
        files.error_message AS problem, files.content_key AS key
"""


def _listing(agent_id: str) -> str:
    """The folders of an agent with their files, as JSON; null where it has none."""
    return f"""(
        SELECT jsonb_agg(jsonb_build_object(
            'id', folders.id, 'name', folders.name, 'description', folders.description,
            'instructions', folders.instructions, 'files', (
                SELECT coalesce(jsonb_agg(to_jsonb(shown) ORDER BY shown.name, shown.id), '[]')
                FROM (
                    ({_ONE}, false AS is_open, NULL AS view_start, NULL AS view_end
                    FROM files
                    WHERE files.folder_id = folders.id AND files.deleted_at IS NULL
                      AND NOT EXISTS (
                          SELECT FROM agent_files AS held WHERE held.agent_id = {agent_id}
                            AND held.file_id = files.id AND held.is_open
                      )
                    ORDER BY files.file_name LIMIT {_LISTED + 1})
                    UNION ALL
                    ({_ONE}, true, held.view_start, held.view_end
                    FROM agent_files AS held JOIN files ON files.id = held.file_id
                    WHERE held.agent_id = {agent_id} AND held.folder_id = folders.id
                      AND held.is_open AND files.deleted_at IS NULL)
                ) AS shown
            )) ORDER BY attached.created_at, folders.id)
        FROM (
            SELECT * FROM agent_folders WHERE agent_folders.agent_id = {agent_id}
            ORDER BY agent_folders.created_at, agent_folders.folder_id LIMIT {_FOLDERS}
        ) AS attached
        JOIN folders ON folders.id = attached.folder_id AND folders.deleted_at IS NULL
    )"""  # noqa: S608


DIRECTORIES_DIGEST = f"md5({_listing('run.agent_id')}::text)"
"""Changes with what the prompt of the agent of a row `run` shows of files; null for no folders."""

_READ = text(
    f"""
    WITH seen AS MATERIALIZED (SELECT {_listing(":agent_id")} AS listed)
    SELECT listed, md5(listed::text) AS digest,
        (SELECT count(*) FROM agent_folders JOIN folders ON folders.id = agent_folders.folder_id
         WHERE agent_folders.agent_id = :agent_id AND folders.deleted_at IS NULL
        ) AS folder_count,
        (SELECT coalesce(jsonb_agg(
             held.file_id ORDER BY held.last_accessed_at DESC NULLS LAST, held.file_id), '[]')
         FROM agent_files AS held
         JOIN files ON files.id = held.file_id AND files.deleted_at IS NULL
         JOIN agent_folders AS attached
             ON attached.agent_id = held.agent_id AND attached.folder_id = files.folder_id
         WHERE held.agent_id = :agent_id AND held.is_open
        ) AS used
    FROM seen
    """  # noqa: S608
)

# Lines ahead of those that are wanted are left where they are.
_VIEW = text(
    r"""
    SELECT wanted.id, wanted.first,
        CASE WHEN content.text = '' THEN 0
            ELSE char_length(content.text) - char_length(replace(content.text, E'\n', ''))
                + CASE WHEN right(content.text, 1) = E'\n' THEN 0 ELSE 1 END
        END AS total,
        CASE WHEN wanted.first <= 1 THEN left(content.text, CAST(:chars AS integer))
            ELSE left(array_to_string(
                (string_to_array(content.text, E'\n'))
                    [wanted.first : wanted.first + CAST(:chars AS integer)],
                E'\n'), CAST(:chars AS integer))
        END AS part
    FROM unnest(CAST(:ids AS text[]), CAST(:firsts AS integer[])) AS wanted (id, first)
    JOIN file_contents AS content ON content.file_id = wanted.id
    """
)


async def read_directories(
    connection: AsyncConnection, agent: Agent
) -> tuple[Directories | None, str | None]:
    """What the agent's prompt shows of its folders, and the digest of it; None for no folders.

    Of more files than its budget allows, which is so when the budget has been lowered, those that
    were used last are open.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
    row = (await connection.execute(_READ, {"agent_id": agent.id})).one()
    if row.listed is None:
        return None, None
    budget = FileBudget.of(agent)
    is_open = set(row.used[: budget.max_open])
    folders: list[Directory] = []
    wanted: list[FileView] = []
    for listed in row.listed:
        files, has_more = _shown(listed["files"], is_open)
        wanted += [
            FileView(file["id"], file["view_start"], file["view_end"])
            for file in files
            if file["is_open"]
        ]
        folder = listed | {"files": files, "has_more": has_more}
        folders.append(model_of_json(Directory, folder, agent.id))
    views = await _read_views(connection, wanted, budget)
    more = max(0, row.folder_count - len(folders))
    return Directories(folders, budget, views, more), row.digest


async def visible_contents(
    connection: AsyncConnection, agent: Agent, held: Sequence[AgentFile]
) -> dict[str, str]:
    """What an agent sees of its open files, by id; V1's `visible_content`.

    Args:
        connection: Any.
        agent: Whose budget counts.
        held: Files of its own, of which those that are closed are left out.
    """
    wanted = [FileView(one.file_id, one.view_start, one.view_end) for one in held if one.is_open]
    return await _read_views(connection, wanted, FileBudget.of(agent))


async def _read_views(
    connection: AsyncConnection, wanted: Sequence[FileView], budget: FileBudget
) -> dict[str, str]:
    if not wanted:
        return {}
    given = {
        "ids": [one.file_id for one in wanted],
        "firsts": [min(one.start or 1, _LAST_LINE) for one in wanted],
        "chars": budget.view_chars,
    }
    rows = (await connection.execute(_VIEW, given)).all()
    by_id = {one.file_id: one for one in wanted}
    return {row.id: _view(row, by_id[row.id], budget) for row in rows}


def _view(row: Any, wanted: FileView, budget: FileBudget) -> str:
    return file_view(
        row.part,
        first=row.first,
        total=row.total,
        start=wanted.start,
        end=wanted.end,
        limit_chars=budget.view_chars,
    )


def _shown(files: Sequence[dict[str, Any]], is_open: set[str]) -> tuple[list[dict[str, Any]], bool]:
    """The files of a folder as they are listed, and whether there are others."""
    shown = [file | {"is_open": file["id"] in is_open} for file in files]
    closed = [file for file in shown if not file["is_open"]]
    left_out = {file["id"] for file in closed[_LISTED:]}
    return [file for file in shown if file["id"] not in left_out], bool(left_out)
