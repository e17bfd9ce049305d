"""Passages of archives, with their vectors and tags."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from o.domain.archives import MAX_TAG_CHARS, MAX_TAGS, words_key
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED
from server.letta_import.kinds.sealing import object_in
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, present, rows_of, stamps
from server.letta_import.kinds.vectors import keep_vectors
from server.letta_import.source import Row

_ROWS = """
    SELECT t.id, t.text, t.metadata_, t.created_at, t.updated_at, t.is_deleted, t._created_by_id,
        t._last_updated_by_id, t.organization_id, t.archive_id, t.tags,
        array(SELECT g.tag FROM passage_tags AS g WHERE g.passage_id = t.id
              ORDER BY g.created_at, g.id)::text[] AS linked_tags,
        md5(jsonb_build_array(t.text, t.metadata_::text, t.tags::text, t.updated_at, t.archive_id,
            t.is_deleted, t.embedding_config::text, t.embedding IS NULL,
            (SELECT count(*) FROM passage_tags AS g WHERE g.passage_id = t.id))::text) AS digest
    FROM archival_passages AS t ORDER BY t.id
"""
_TAGS_HERE = """
    SELECT coalesce(sum(cardinality(t.tags)), 0) FROM moved_rows AS moved
    JOIN passages AS t ON t.id = moved.id WHERE moved.kind = %(kind)s
"""
LOST_TAGS = "a tag that is too long here, or that the passage has not itself"


class Passages(TableKind):
    """A passage, as one item with its tags. Its vector is read when it is written."""

    name = "passages"
    table = "archival_passages"
    here_table = "passages"
    content = ("text", "tags", "metadata", "archive_id")
    hang_on: ClassVar = {"passage_tags": ("passage_id", "archival_passages")}
    needs: ClassVar = {
        "archival_passages": (
            *("id", "text", "embedding_config", "metadata_", "embedding", "created_at", "tags"),
            *("updated_at", "is_deleted", "organization_id", "archive_id", "_created_by_id"),
        ),
        "passage_tags": ("id", "tag", "passage_id", "created_at"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with its tags, in the order in which V1 shows them."""
        for rows in context.source.batches(_ROWS):
            archives = present(context, "archives", [row["archive_id"] for row in rows])
            for row in rows:
                yield from _read(row, archives)

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """Rows that are here are stored anew: triggers count what comes and goes."""
        rows = rows_of(items, "passages")
        store_passages(context, rows)
        keep_vectors(
            context,
            self.table,
            {row["id"]: row["archive_id"] for row in rows},
            archives={row["archive_id"] for row in rows},
        )

    def count_here(self, context: Context) -> Mapping[str, int]:
        """The rows, and their tags."""
        tags = context.target.count(_TAGS_HERE, {"kind": self.name})
        return {**super().count_here(context), "passage_tags": tags}


def store_passages(context: Context, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store passages in the place of those by their ids; they wait for vectors then."""
    gone = {"ids": [row["id"] for row in rows]}
    context.target.query("DELETE FROM passages WHERE id = ANY(%(ids)s)", gone)
    context.target.upsert("passages", rows)


def passage_row(row: Row, archive_id: str, tags: Sequence[str]) -> dict[str, Any]:
    """A passage of either of V1's tables, as it stands here."""
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "archive_id": archive_id,
        "text": row["text"],
        "metadata": object_in(row["metadata_"]),
        "tags": list(tags),
        "key": words_key(row["text"]),
        "is_repeat": False,
        **stamps(row),
    }


def _read(row: Row, archives: set[str]) -> Iterator[Item | LeftOut]:
    links = row["linked_tags"]
    if row["is_deleted"] or row["archive_id"] not in archives:
        reason = FLAGGED if row["is_deleted"] else NOT_HERE
        yield LeftOut("archival_passages", reason, id=None if row["is_deleted"] else row["id"])
        if links:
            yield LeftOut("passage_tags", reason, len(links))
        return
    tags = _tags(row)
    lost = len(links) - len(tags)
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={"archival_passages": 1, "passage_tags": len(links)},
        rows={"passages": [passage_row(row, row["archive_id"], tags)]},
        left={"passage_tags": {LOST_TAGS: lost}} if lost > 0 else {},
    )


def _tags(row: Row) -> list[str]:
    """Those of the passage itself, else those that are linked to it; each once."""
    own = row["tags"] if isinstance(row["tags"], list) else row["linked_tags"]
    found = dict.fromkeys(one for one in own if isinstance(one, str) and one)
    return [one for one in found if len(one) <= MAX_TAG_CHARS][:MAX_TAGS]
