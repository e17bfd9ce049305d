"""Folders (V1's sources), each with the archive that its passages stand in."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from o.ids import derived_id
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.archives import ELSEWHERE, embedding_of
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.table_kind import TableKind, rows_of, stamps, taken_names
from server.letta_import.source import Row

_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner, md5(t::text) AS digest
    FROM sources AS t ORDER BY t.id
"""
TAKEN = "one by its name is here already: rename either, and run the import again"


class Folders(TableKind):
    """Folders. Their files are moved after them."""

    name = "folders"
    table = "sources"
    here_table = "folders"
    content = ("name", "description", "instructions", "metadata", "deleted_at")
    changed = (
        *("name", "description", "instructions", "metadata", "deleted_at"),
        *("updated_at", "last_updated_by_id"),
    )
    needs: ClassVar = {
        "sources": (
            *("id", "name", "created_at", "embedding_config", "description", "metadata_"),
            *("updated_at", "is_deleted", "organization_id", "instructions", "vector_db_provider"),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each; their names are one of a kind in an organization, here as there."""
        for rows in context.source.batches(_ROWS):
            taken = taken_names(context, "folders", "name", rows, named="name", alive=True)
            for row in rows:
                if reason := _why_left(row, taken):
                    known = None if reason == FLAGGED else row["id"]
                    yield LeftOut(self.table, reason, id=known)
                else:
                    yield _item(row)

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """The archives first; what their passages are embedded by, they know themselves."""
        update = ["name", "updated_at"]
        context.target.upsert("archives", rows_of(items, "archives"), update=update)
        super().write(context, items)


def folder_archive(folder_id: str) -> str:
    """The id of the archive that a folder's passages stand in."""
    return derived_id("archive", folder_id)


def _why_left(row: Row, taken: set[str]) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    return TAKEN if row["id"] in taken else None


def _item(row: Row) -> Item:
    archive_id = folder_archive(row["id"])
    same: dict[str, Any] = {
        **{name: row[name] for name in ("organization_id", "name", "description")},
        **embedding_of(row["embedding_config"]),
        **stamps(row),
    }
    is_elsewhere = str(row["vector_db_provider"] or "NATIVE").upper() != "NATIVE"
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={"sources": 1},
        rows={
            "archives": [{**same, "id": archive_id, "description": None, "is_folder": True}],
            "folders": [
                {
                    **same,
                    "id": row["id"],
                    "instructions": row["instructions"],
                    "metadata": row["metadata_"] if isinstance(row["metadata_"], dict) else None,
                    "archive_id": archive_id,
                    "deleted_at": None,
                }
            ],
        },
        told=[ELSEWHERE] if is_elsewhere else [],
    )
