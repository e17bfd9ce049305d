"""The files of an agent by the names that it knows them by."""

import html
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.files.folders import ProcessingStatus
from o.storage.rows import all_models_of

_FILES = """
    SELECT files.id, files.file_name AS name, files.original_file_name AS own_name,
        files.processing_status AS status, files.error_message AS problem, files.folder_id
    FROM agent_folders AS attached
    JOIN folders ON folders.id = attached.folder_id AND folders.deleted_at IS NULL
    JOIN files ON files.folder_id = folders.id AND files.deleted_at IS NULL
    WHERE attached.agent_id = :agent_id
"""
_ALL = text(f"{_FILES} ORDER BY files.file_name, files.id")
_NAMED = text(
    f"""{_FILES} AND (
        files.file_name = ANY(CAST(:names AS text[]))
        OR lower(files.file_name) = ANY(CAST(:lowered AS text[]))
        OR lower(files.original_file_name) = ANY(CAST(:lowered AS text[]))
    ) ORDER BY files.file_name, files.id LIMIT 1000"""
)
_SOME = text(f"{_FILES} ORDER BY files.file_name, files.id LIMIT :limit")
_BY_ID = text(f"{_FILES} AND files.id = :file_id")
_LINES = text(
    r"""
    SELECT file_id, CASE WHEN text = '' THEN 0
        ELSE char_length(text) - char_length(replace(text, E'\n', ''))
            + CASE WHEN right(text, 1) = E'\n' THEN 0 ELSE 1 END
    END AS lines FROM file_contents WHERE file_id = ANY(CAST(:ids AS text[]))
    """
)


class NamedFile(BaseModel):
    """A file of one of an agent's folders.

    Attributes:
        name: As the agent is shown it.
        own_name: Without the name of its folder.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    folder_id: str
    name: str
    own_name: str
    status: ProcessingStatus
    problem: str | None = None


async def list_agent_files(connection: AsyncConnection, agent_id: str) -> list[NamedFile]:
    """All files of all folders of an agent, by name."""
    rows = await connection.execute(_ALL, {"agent_id": agent_id})
    return all_models_of(NamedFile, rows.mappings().all())


async def list_some_names(connection: AsyncConnection, agent_id: str, *, limit: int) -> list[str]:
    """The names of the first files of an agent."""
    rows = await connection.execute(_SOME, {"agent_id": agent_id, "limit": limit})
    return [row.name for row in rows]


async def find_agent_file(
    connection: AsyncConnection, agent_id: str, file_id: str
) -> NamedFile | None:
    """The file by that id, if it stands in one of the agent's folders."""
    rows = await connection.execute(_BY_ID, {"agent_id": agent_id, "file_id": file_id})
    row = rows.mappings().one_or_none()
    return None if row is None else NamedFile.model_validate(dict(row))


async def find_named_files(
    connection: AsyncConnection, agent_id: str, names: Sequence[str]
) -> dict[str, NamedFile]:
    """The files that a model means by these names; a name that means none or several is left out.

    A prompt spells some signs of a name otherwise, models write names in other case, and leave the
    folder out: whatever comes closest counts.
    """
    plain = {name: html.unescape(name) for name in names}
    lowered = [spelled.lower() for spelled in plain.values()]
    given = {"agent_id": agent_id, "names": [*plain, *plain.values()], "lowered": lowered}
    rows = await connection.execute(_NAMED, given)
    found = all_models_of(NamedFile, rows.mappings().all())
    meant = {name: _meant(name, spelled, found) for name, spelled in plain.items()}
    return {name: file for name, file in meant.items() if file is not None}


async def count_lines(connection: AsyncConnection, file_ids: Sequence[str]) -> dict[str, int]:
    """How many lines the texts of files have; those that are not read yet are left out."""
    rows = await connection.execute(_LINES, {"ids": list(file_ids)})
    return {row.file_id: row.lines for row in rows}


def _meant(name: str, spelled: str, found: Sequence[NamedFile]) -> NamedFile | None:
    lowered = spelled.lower()
    ways = (
        [file for file in found if file.name == name],
        [file for file in found if file.name == spelled],
        [file for file in found if file.name.lower() == lowered],
        [file for file in found if file.own_name == spelled],
        [file for file in found if file.own_name.lower() == lowered],
    )
    return next((same[0] for same in ways if len(same) == 1), None)
