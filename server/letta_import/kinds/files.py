"""Files with their text and the passages that V1 made of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from o.domain.files.names import numbered
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.folders import folder_archive
from server.letta_import.kinds.owners import FLAGGED
from server.letta_import.kinds.passages import passage_row, store_passages
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, present, rows_of, stamps
from server.letta_import.kinds.vectors import keep_vectors
from server.letta_import.source import Row

# V1 lets two uploads that end at once have one name in a folder.
_FILES = """
    WITH named AS (
        SELECT id, row_number() OVER (
            PARTITION BY source_id, file_name ORDER BY created_at, id) - 1 AS namesakes
        FROM files WHERE NOT is_deleted AND file_name IS NOT NULL
    )
    SELECT t.*, coalesce(named.namesakes, 0) AS namesakes,
        c.text AS content, c.file_id IS NOT NULL AS has_content,
        md5(t::text || coalesce(md5(c.text), '') || coalesce((
            SELECT string_agg(md5(p.text) || p.is_deleted::text, ',' ORDER BY p.created_at, p.id)
            FROM source_passages AS p WHERE p.file_id = t.id), '')) AS digest
    FROM files AS t LEFT JOIN file_contents AS c ON c.file_id = t.id AND NOT c.is_deleted
    LEFT JOIN named ON named.id = t.id
    ORDER BY t.id
"""
_PASSAGES = """
    SELECT id, text, metadata_, created_at, updated_at, is_deleted, organization_id, file_id,
        _created_by_id, _last_updated_by_id
    FROM source_passages WHERE file_id = ANY(%(ids)s) ORDER BY file_id, created_at, id
"""
_ALONE = """
    SELECT count(*) AS n FROM {0} AS t
    WHERE NOT EXISTS (SELECT FROM files AS f WHERE f.id = t.file_id)
"""
_CONTENTS = "SELECT count(*) AS n FROM file_contents WHERE file_id = %(id)s"
_OF_MOVED = "SELECT count(*) FROM moved_rows AS moved JOIN {0} AS l ON l.file_id = moved.id "
_AT_ONCE = 10
_UNREAD = "V1 had not read it to its end, and has nothing of it that can be read here"
_NAMESAKE = "another file of its folder has its name: it has a number behind it here"
_LOST = "it was being read when it was moved: upload it again"


class Files(TableKind):
    """A file, as one item with its text and its passages."""

    name = "files"
    table = "files"
    here_table = "files"
    content = ("file_name", "original_file_name", "content_key", "deleted_at")
    batch = _AT_ONCE
    needs: ClassVar = {
        "files": (
            *("id", "source_id", "file_name", "file_path", "file_type", "file_size", "created_at"),
            *("file_creation_date", "file_last_modified_date", "updated_at", "is_deleted"),
            *("organization_id", "processing_status", "error_message", "original_file_name"),
        ),
        "file_contents": ("file_id", "text", "is_deleted"),
        "source_passages": (
            *("id", "text", "embedding_config", "metadata_", "embedding", "created_at", "file_id"),
            *("updated_at", "is_deleted", "organization_id"),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each; what V1 had not read to its end is read here, from the text that is there."""
        for table in ("source_passages", "file_contents"):
            (alone,) = context.source.all(_ALONE.format(table))
            if alone["n"]:
                yield LeftOut(table, "of no file", alone["n"])
        for rows in context.source.batches(_FILES, size=_AT_ONCE):
            passages: dict[str, list[Row]] = defaultdict(list)
            for one in context.source.all(_PASSAGES, {"ids": [row["id"] for row in rows]}):
                passages[one["file_id"]].append(one)
            folders = present(context, "folders", [row["source_id"] for row in rows])
            for row in rows:
                if row["is_deleted"] or row["source_id"] not in folders:
                    yield from _left(context, row, passages[row["id"]])
                else:
                    yield _item(context, row, passages[row["id"]])

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """Passages that are here are stored anew, and so is the text."""
        target = context.target
        target.upsert("files", rows_of(items, "files"))
        target.upsert("file_contents", rows_of(items, "file_contents"))
        gone = {"ids": [item.id for item in items]}
        target.query("DELETE FROM passages WHERE file_id = ANY(%(ids)s)", gone)
        rows = rows_of(items, "passages")
        store_passages(context, rows)
        keep_vectors(
            context,
            "source_passages",
            {row["id"]: row["archive_id"] for row in rows},
            archives={row["archive_id"] for row in rows},
        )

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Files, their texts, and those of their passages that V1 made."""
        where = "WHERE moved.kind = %(kind)s"
        kind = {"kind": self.name}
        return {
            **super().count_here(context),
            "file_contents": context.target.count(_OF_MOVED.format("file_contents") + where, kind),
            "source_passages": context.target.count(_OF_MOVED.format("passages") + where, kind),
        }


def _left(context: Context, row: Row, passages: Sequence[Row]) -> Iterator[LeftOut]:
    reason = FLAGGED if row["is_deleted"] else NOT_HERE
    yield LeftOut("files", reason, id=None if row["is_deleted"] else row["id"])
    (contents,) = context.source.all(_CONTENTS, {"id": row["id"]})
    for table, count in (("source_passages", len(passages)), ("file_contents", contents["n"])):
        if count:
            yield LeftOut(table, reason, count)


def _item(context: Context, row: Row, passages: Sequence[Row]) -> Item:
    alive = [one for one in passages if not one["is_deleted"]]
    flagged = len(passages) - len(alive)
    archive_id = folder_archive(row["source_id"])
    status, message = _status(row, alive)
    (contents,) = context.source.all(_CONTENTS, {"id": row["id"]})
    hidden = contents["n"] - bool(row["has_content"])
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={
            "files": 1,
            "file_contents": contents["n"],
            "source_passages": len(passages),
        },
        rows={
            "files": [_file(row, status, message, len(alive))],
            "file_contents": (
                [{"file_id": row["id"], "text": row["content"]}] if row["has_content"] else []
            ),
            "passages": [
                {**passage_row(one, archive_id, []), "file_id": row["id"], "ordinal": ordinal}
                for ordinal, one in enumerate(_in_order(row["content"] or "", alive))
            ],
        },
        left={
            table: {FLAGGED: count}
            for table, count in (("source_passages", flagged), ("file_contents", hidden))
            if count
        },
        told=[*([_UNREAD] if message == _LOST else []), *([_NAMESAKE] if row["namesakes"] else [])],
    )


def _in_order(content: str, passages: Sequence[Row]) -> list[Row]:
    """Passages in the order of the text that they were cut from, of which V1 keeps no record."""
    places = {one["id"]: content.find(one["text"]) for one in passages}
    return sorted(passages, key=lambda one: (places[one["id"]], one["created_at"], one["id"]))


def _status(row: Row, passages: Sequence[Row]) -> tuple[str, str | None]:
    """How far it is here, and why it could not be read."""
    status = row["processing_status"]
    if status == "error":
        return "error", row["error_message"] or "V1 could not read it."
    if status == "completed" or passages:
        return "completed", None
    return ("pending", None) if row["has_content"] and row["content"] else ("error", _LOST)


def _file(row: Row, status: str, message: str | None, chunks: int) -> dict[str, Any]:
    same = (
        *("id", "organization_id", "file_path", "file_type", "file_size"),
        *("file_creation_date", "file_last_modified_date"),
    )
    name = row["file_name"] or row["original_file_name"] or row["id"]
    own = row["original_file_name"] or name.rpartition("/")[2]
    if row["namesakes"]:
        name = numbered(name, row["namesakes"])
    return {
        **{one: row[one] for one in same},
        "folder_id": row["source_id"],
        "file_name": name,
        "original_file_name": own,
        "processing_status": status,
        "error_message": message,
        "total_chunks": chunks if status == "completed" else None,
        "deleted_at": None,
        **stamps(row),
    }
