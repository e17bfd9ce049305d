"""Blocks with their tags and their history; those of templates and of conversations too."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from server.letta_import.kind import Context, Item, Kind, LeftOut, Needs
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER, count_moved
from server.letta_import.kinds.table_kind import EPOCH, stamps
from server.letta_import.source import Row, UnreadableJson
from server.letta_import.target import Target, digest

UNREADABLE = "its JSON cannot be read"
_VIA, _VIA_HISTORY = "import", "letta"  # how versions came to be: by this, and in V1

_BLOCKS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner,
        md5(t::text || coalesce((SELECT string_agg(g.tag, ',' ORDER BY g.tag) FROM blocks_tags AS g
                                 WHERE g.block_id = t.id AND NOT g.is_deleted), '')
            || coalesce((SELECT string_agg(md5(h::text), ',' ORDER BY h.sequence_number)
                         FROM block_history AS h WHERE h.block_id = t.id), '')) AS digest
    FROM block AS t ORDER BY t.id
"""
_TAGS = "SELECT * FROM blocks_tags WHERE block_id = ANY(%(ids)s) ORDER BY block_id, tag"
_HISTORY = """
    SELECT * FROM block_history WHERE block_id = ANY(%(ids)s) ORDER BY block_id, sequence_number, id
"""
_CONTENT = (
    *("label", "value", "limit_chars", "description", "read_only", "metadata", "tags"),
    *("project_id", "is_template", "template_name", "hidden"),
)
_FIELDS = (  # of a version, beside what has columns
    *("read_only", "metadata", "tags", "project_id", "is_template", "template_name", "hidden"),
    *("template_id", "base_template_id", "deployment_id", "entity_id", "preserve_on_migration"),
)
_HERE = f"""
    SELECT id, {digest("t", _CONTENT)} AS digest FROM blocks AS t WHERE id = ANY(%(ids)s)
"""


class Blocks(Kind):
    """A block, as one item with its tags and the entries of its history.

    An entry becomes a version here. Undo leads back to them, as it does to versions of O's own.
    """

    name = "blocks"
    table = "block"
    hang_on: ClassVar = {
        "block_history": ("block_id", "block"),
        "blocks_tags": ("block_id", "block"),
    }
    needs: ClassVar[Needs] = {
        "block": (
            *("id", "value", "limit", "label", "metadata_", "description", "is_template"),
            *("template_name", "organization_id", "created_at", "updated_at", "is_deleted"),
            *("current_history_entry_id", "version", "read_only", "project_id", "hidden"),
            *("entity_id", "base_template_id", "template_id", "deployment_id"),
            *("preserve_on_migration", "_created_by_id", "_last_updated_by_id"),
        ),
        "blocks_tags": ("block_id", "tag", "is_deleted"),
        "block_history": (
            *("id", "block_id", "sequence_number", "description", "label", "value", "limit"),
            *("metadata_", "actor_id", "created_at"),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with what belongs to it. Labels may hold anything, values be over their limit."""
        source = context.source
        for rows in source.batches(_BLOCKS):
            ids = {"ids": [row["id"] for row in rows]}
            tags, history = defaultdict(list), defaultdict(list)
            for tag in source.all(_TAGS, ids):
                tags[tag["block_id"]].append(tag)
            for entry in source.all(_HISTORY, ids):
                history[entry["block_id"]].append(entry)
            for row in rows:
                yield from _read(row, tags[row["id"]], history[row["id"]])

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By what they hold."""
        found = target.query(_HERE, {"ids": list(ids)})
        return {row["id"]: row["digest"] for row in found}

    def lock(self, target: Target, ids: Sequence[str]) -> None:
        """Their rows."""
        target.lock("blocks", ids)

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """A block that is here gets one more version, and its history stays as it is."""
        target = context.target
        stands = target.existing("blocks", [item.id for item in items])
        new = [item for item in items if item.id not in stands]
        # A trigger makes the newest version of each block; the ones before it follow.
        target.upsert("blocks", [row for item in new for row in item.rows["blocks"]])
        versions = [row for item in new for row in item.rows["block_versions"]]
        target.upsert("block_versions", versions)
        old = [row for item in items if item.id in stands for row in item.rows["blocks"]]
        _change(target, old)

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Tags are counted where they stand; of the history, what was made there."""
        target = context.target
        parameters = {"kind": self.name, "via": _VIA_HISTORY}
        of_moved = "FROM moved_rows AS moved JOIN blocks AS t ON t.id = moved.id"
        where = "WHERE moved.kind = %(kind)s"
        return {
            "block": count_moved(target, self.name, "blocks"),
            "blocks_tags": target.count(
                f"SELECT coalesce(sum(cardinality(t.tags)), 0) {of_moved} {where}",
                parameters,
            ),
            "block_history": target.count(
                f"SELECT count(*) {of_moved} JOIN block_versions AS v ON v.block_id = t.id "
                f"{where} AND v.via = %(via)s",
                parameters,
            ),
        }


def _read(row: Row, tags: list[Row], history: list[Row]) -> Iterator[Item | LeftOut]:
    counts = {"block": 1, "blocks_tags": len(tags), "block_history": len(history)}
    if reason := _why_left(row):
        for table, count in counts.items():
            if count:
                yield LeftOut(table, reason, count, row["id"] if table == "block" else None)
        return
    alive = [tag["tag"] for tag in tags if not tag["is_deleted"]]
    flagged = len(tags) - len(alive)
    block = _block(row, alive)
    versions = _versions(block, row, history)
    block["version"] = versions[-1]["version"] if versions else max(1, row["version"] or 1)
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables=counts,
        rows={"blocks": [block], "block_versions": versions},
        left={"blocks_tags": {FLAGGED: flagged}} if flagged else {},
    )


def _why_left(row: Row) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    if isinstance(row["metadata_"], UnreadableJson):
        return UNREADABLE
    return None


def _block(row: Row, tags: list[str]) -> dict[str, Any]:
    same = (
        *("id", "organization_id", "label", "value", "description", "read_only", "is_template"),
        *("project_id", "template_name", "template_id", "base_template_id", "deployment_id"),
        *("entity_id", "hidden"),
    )
    return {name: row[name] for name in same} | {
        "limit_chars": row["limit"],
        "metadata": _object(row["metadata_"]),
        "tags": tags,
        "preserve_on_migration": bool(row["preserve_on_migration"]),
        "changed_by": row["_last_updated_by_id"],
        "changed_via": _VIA,
        **stamps(row),
    }


def _versions(block: dict[str, Any], row: Row, history: list[Row]) -> list[dict[str, Any]]:
    """The entries as versions, and behind them the block as it is now; none without entries.

    After an undo, the block says what an older entry says: it is a version of its own then, from
    which undo and redo lead on, as they do here.
    """
    if not history:
        return []
    versions = [_version(row, entry, n) for n, entry in enumerate(history, 1)]
    last = history[-1]
    is_last = (last["value"], last["label"]) == (row["value"], row["label"])
    now = len(history) + 1
    places = {entry["id"]: n for n, entry in enumerate(history, 1)}
    place = places.get(row["current_history_entry_id"], len(history) if is_last else None)
    newest = {
        "block_id": row["id"],
        "version": now,
        "value": row["value"],
        "label": row["label"],
        "description": row["description"],
        "limit_chars": row["limit"],
        "fields": {name: block[name] for name in _FIELDS},
        "actor": row["_last_updated_by_id"],
        "via": _VIA,
        "created_at": stamps(row)["updated_at"],
        "origin": place or now,
        "undo_to": (place - 1 or None) if place else len(history),
        "redo_to": place + 1 if place and place < len(history) else None,
    }
    return [*versions, newest]


def _version(row: Row, entry: Row, number: int) -> dict[str, Any]:
    return {
        "block_id": row["id"],
        "version": number,
        "value": entry["value"],
        "label": entry["label"],
        "description": entry["description"],
        "limit_chars": entry["limit"],
        "fields": {"metadata": _object(entry["metadata_"])},
        "actor": entry["actor_id"],
        "via": _VIA_HISTORY,
        "created_at": entry["created_at"] or EPOCH,
        "origin": number,
        "undo_to": number - 1 or None,
        "redo_to": None,
    }


def _change(target: Target, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make blocks that are here as they are in V1; each change is a version here."""
    if not rows:
        return
    changed = [name for name in rows[0] if name not in ("id", "version")]
    sets = ", ".join(f'"{name}" = new."{name}"' for name in changed)
    target.write(
        f"UPDATE blocks AS t SET {sets}, version = t.version + 1 "
        "FROM json_populate_recordset(NULL::blocks, %(rows)s) AS new WHERE new.id = t.id",
        rows,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
