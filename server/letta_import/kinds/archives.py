"""Archives, with the agents that have them."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

from o.letta.agents import embedding_fields
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, present, stamps
from server.letta_import.source import Row

_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner,
        md5(t::text || coalesce((SELECT string_agg(l::text, ',' ORDER BY l.agent_id)
            FROM archives_agents AS l WHERE l.archive_id = t.id), '')) AS digest
    FROM archives AS t ORDER BY t.id
"""
_LINKS = """
    SELECT l.*, coalesce(l.created_at, a.created_at) AS since FROM archives_agents AS l
    JOIN archives AS a ON a.id = l.archive_id
    WHERE l.archive_id = ANY(%(ids)s) ORDER BY l.archive_id, l.agent_id
"""
ELSEWHERE = "its vectors were kept outside of PostgreSQL: they are made anew"


class Archives(TableKind):
    """An archive, as one item with its links to agents."""

    name = "archives"
    table = "archives"
    here_table = "archives"
    content = ("name", "description", "metadata")  # its model may change by itself
    changed = ("name", "description", "metadata", "updated_at", "last_updated_by_id")
    links: ClassVar = {"archives_agents": ("agent_archives", "archive_id")}
    hang_on: ClassVar = {"archives_agents": ("archive_id", "archives")}
    needs: ClassVar = {
        "archives": (
            *("id", "name", "description", "metadata_", "created_at", "updated_at", "is_deleted"),
            *("organization_id", "vector_db_provider", "embedding_config", "_created_by_id"),
        ),
        "archives_agents": ("agent_id", "archive_id", "created_at", "is_owner"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with the agents of it that are here."""
        for rows in context.source.batches(_ROWS):
            links: dict[str, list[Row]] = defaultdict(list)
            for link in context.source.all(_LINKS, {"ids": [row["id"] for row in rows]}):
                links[link["archive_id"]].append(link)
            agents = present(
                context, "agents", [one["agent_id"] for of in links.values() for one in of]
            )
            for row in rows:
                yield from _read(row, links[row["id"]], agents)


def _read(row: Row, links: list[Row], agents: set[str]) -> Iterator[Item | LeftOut]:
    if row["is_deleted"] or not row["has_owner"]:
        reason = FLAGGED if row["is_deleted"] else NO_OWNER
        yield LeftOut("archives", reason, id=row["id"])
        if links:
            yield LeftOut("archives_agents", reason, len(links))
        return
    kept = [one for one in links if one["agent_id"] in agents]
    lost = len(links) - len(kept)
    is_elsewhere = str(row["vector_db_provider"] or "NATIVE").upper() != "NATIVE"
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={"archives": 1, "archives_agents": len(links)},
        rows={
            "archives": [
                {
                    **{name: row[name] for name in ("id", "organization_id", "name")},
                    "description": row["description"],
                    "metadata": row["metadata_"] if isinstance(row["metadata_"], dict) else None,
                    **embedding_of(row["embedding_config"]),
                    **stamps(row),
                }
            ],
            "agent_archives": [
                {
                    "agent_id": one["agent_id"],
                    "archive_id": row["id"],
                    "is_owner": bool(one["is_owner"]),
                    "created_at": one["since"],
                }
                for one in kept
            ],
        },
        left={"archives_agents": {NOT_HERE: lost}} if lost else {},
        told=[ELSEWHERE] if is_elsewhere else [],
    )


def embedding_of(config: Any) -> dict[str, Any]:
    """The columns of an archive, or of a folder, that say what embeds it."""
    return embedding_fields({"embedding_config": config})


def handle_of(config: Any) -> str | None:
    """The handle of the model that an `embedding_config` of V1 names; None where it is none."""
    handle: str | None = embedding_of(config)["embedding"]
    return handle
