"""Which folders agents have, and which of the files in them are open."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from server.letta_import.kind import Context, Item, Kind, LeftOut
from server.letta_import.kinds.table_kind import EPOCH, NOT_HERE, present, rows_of
from server.letta_import.source import Row
from server.letta_import.target import Target

_AGENTS = """
    SELECT a.id, a.organization_id, a.created_at,
        md5(coalesce((SELECT string_agg(l.source_id, ',' ORDER BY l.source_id)
                      FROM sources_agents AS l WHERE l.agent_id = a.id), '')
            || coalesce((SELECT string_agg(f.file_id || f.is_open || f.is_deleted
                             || coalesce(f.start_line, -1) || coalesce(f.end_line, -1), ','
                             ORDER BY f.id)
                         FROM files_agents AS f WHERE f.agent_id = a.id), '')) AS digest
    FROM agents AS a WHERE EXISTS (SELECT FROM sources_agents AS l WHERE l.agent_id = a.id)
        OR EXISTS (SELECT FROM files_agents AS f WHERE f.agent_id = a.id)
    ORDER BY a.id
"""
_FOLDERS = """
    SELECT agent_id, source_id FROM sources_agents WHERE agent_id = ANY(%(ids)s)
    ORDER BY agent_id, source_id
"""
_FILES = """
    SELECT id, agent_id, file_id, is_open, last_accessed_at, is_deleted, start_line, end_line
    FROM files_agents WHERE agent_id = ANY(%(ids)s) ORDER BY agent_id, id
"""
_FILES_HERE = "SELECT id, folder_id FROM files WHERE id = ANY(%(ids)s)"
# An agent that has nothing here has the empty digest, which is also what is noted of one whose
# folders were all left out when it was moved.
_HERE = """
    SELECT a.id, coalesce(md5(nullif(
        coalesce((SELECT string_agg(l.folder_id, ',' ORDER BY l.folder_id)
                  FROM agent_folders AS l WHERE l.agent_id = a.id), '')
        || coalesce((SELECT string_agg(f.file_id || f.is_open::text, ',' ORDER BY f.file_id)
                     FROM agent_files AS f WHERE f.agent_id = a.id), ''), '')), '') AS digest
    FROM agents AS a WHERE a.id = ANY(%(ids)s) AND (
        EXISTS (SELECT FROM agent_folders AS l WHERE l.agent_id = a.id)
        OR EXISTS (SELECT FROM agent_files AS f WHERE f.agent_id = a.id)
        OR EXISTS (SELECT FROM moved_rows WHERE kind = 'agent_files' AND moved_rows.id = a.id))
"""
_COUNT = """
    SELECT count(*) FROM moved_rows AS moved JOIN {0} AS l ON l.agent_id = moved.id
    WHERE moved.kind = 'agent_files'
"""
DETACHED = "taken from the agent in V1"


class AgentFiles(Kind):
    """What one agent has of folders and files, as one item by the agent's id."""

    name = "agent_files"
    table = "agents"
    hang_on: ClassVar = {
        "sources_agents": ("agent_id", "agents"),
        "files_agents": ("agent_id", "agents"),
    }
    needs: ClassVar = {
        "sources_agents": ("agent_id", "source_id"),
        "files_agents": (
            *("id", "agent_id", "file_id", "is_open", "last_accessed_at", "is_deleted"),
            *("start_line", "end_line"),
        ),
    }
    counted = ("sources_agents", "files_agents")

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each agent that has any."""
        for rows in context.source.batches(_AGENTS):
            ids = {"ids": [row["id"] for row in rows]}
            links, files = context.source.all(_FOLDERS, ids), context.source.all(_FILES, ids)
            agents = present(context, "agents", ids["ids"])
            folders = present(context, "folders", [one["source_id"] for one in links])
            places = _places(context, [one["file_id"] for one in files])
            of_agent = _by_agent(links), _by_agent(files)
            for row in rows:
                held = [of[row["id"]] for of in of_agent]
                if row["id"] in agents:
                    yield _item(row, held[0], held[1], folders, places)
                else:
                    yield from _left(held[0], held[1])

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By which there are, and which are open."""
        return {row["id"]: row["digest"] for row in target.query(_HERE, {"ids": list(ids)})}

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """In the place of what the agents have here."""
        ids = {"ids": [item.id for item in items]}
        for table in ("agent_files", "agent_folders"):
            context.target.query(f"DELETE FROM {table} WHERE agent_id = ANY(%(ids)s)", ids)
            context.target.upsert(table, rows_of(items, table))

    def count_here(self, context: Context) -> Mapping[str, int]:
        """The links and the files."""
        return {
            "sources_agents": context.target.count(_COUNT.format("agent_folders")),
            "files_agents": context.target.count(_COUNT.format("agent_files")),
        }


def _by_agent(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["agent_id"]].append(row)
    return found


def _places(context: Context, ids: Sequence[str]) -> dict[str, str | None]:
    """The folder of each file that is here."""
    if context.is_dry:
        return dict.fromkeys(ids)
    found = context.target.query(_FILES_HERE, {"ids": list(ids)})
    return {row["id"]: row["folder_id"] for row in found}


def _left(links: Sequence[Row], files: Sequence[Row]) -> Iterator[LeftOut]:
    for table, rows in (("sources_agents", links), ("files_agents", files)):
        if rows:
            yield LeftOut(table, NOT_HERE, len(rows))


def _item(
    row: Row,
    links: Sequence[Row],
    files: Sequence[Row],
    folders: set[str],
    places: Mapping[str, str | None],
) -> Item:
    has = [one for one in links if one["source_id"] in folders]
    alive = [one for one in files if not one["is_deleted"]]
    kept = {one["file_id"]: one for one in alive if one["file_id"] in places}
    left = {
        "sources_agents": {NOT_HERE: len(links) - len(has)},
        "files_agents": {DETACHED: len(files) - len(alive), NOT_HERE: len(alive) - len(kept)},
    }
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=_digest(row, left),
        tables={"sources_agents": len(links), "files_agents": len(files)},
        rows={
            "agent_folders": [
                {
                    "agent_id": row["id"],
                    "folder_id": one["source_id"],
                    "created_at": row["created_at"] or EPOCH,
                }
                for one in has
            ],
            "agent_files": [_file(one, places[one["file_id"]]) for one in kept.values()],
        },
        left={
            table: counts
            for table, reasons in left.items()
            if (counts := {reason: count for reason, count in reasons.items() if count})
        },
    )


def _digest(row: Row, left: Mapping[str, Mapping[str, int]]) -> str:
    """Another one once what was not here is: a later run attaches that, too."""
    missing = sum(reasons.get(NOT_HERE, 0) for reasons in left.values())
    return f"{row['digest']}-{missing}" if missing else row["digest"]


def _file(row: Row, folder_id: str | None) -> dict[str, Any]:
    return {
        "agent_id": row["agent_id"],
        "file_id": row["file_id"],
        "folder_id": folder_id,
        "is_open": bool(row["is_open"]),
        "view_start": row["start_line"] or None,
        "view_end": row["end_line"] or None,
        "last_accessed_at": row["last_accessed_at"],
    }
