"""Kinds of which one row of V1 is one row here, with the links that hang on it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from server.letta_import.kind import Context, Item, Kind
from server.letta_import.kinds.owners import count_moved
from server.letta_import.source import Row
from server.letta_import.target import Target, digest

NOT_HERE = "what it belongs to is not here"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TableKind(Kind):
    """One row here for each item, in a table that has an `id`.

    Attributes:
        here_table: The table of O.
        content: Its columns that a person may change, by which an item is told to be as it was.
        changed: Its columns that become V1's where the row is here; None for all.
        links: By table of V1, the table of O whose rows hang on an item, and its column for them.
    """

    here_table: ClassVar[str]
    content: ClassVar[Sequence[str]]
    changed: ClassVar[Sequence[str] | None] = None
    links: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By what a person may change of the row, and by its links."""
        linked = [
            f"(SELECT jsonb_agg(to_jsonb(l) - 'created_at' ORDER BY l::text) "
            f"FROM {table} AS l WHERE l.{column} = t.id)"
            for table, column in self.links.values()
        ]
        found = target.query(
            f"SELECT id, {digest('t', self.content, *linked)} AS digest "
            f"FROM {self.here_table} AS t WHERE id = ANY(%(ids)s)",
            {"ids": list(ids)},
        )
        return {row["id"]: row["digest"] for row in found}

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """The rows, and their links in the place of those that are here."""
        target, ids = context.target, [item.id for item in items]
        target.upsert(self.here_table, rows_of(items, self.here_table), update=self.changed)
        for table, column in self.links.values():
            target.query(f"DELETE FROM {table} WHERE {column} = ANY(%(ids)s)", {"ids": ids})
            target.upsert(table, rows_of(items, table))

    def count_here(self, context: Context) -> Mapping[str, int]:
        """The rows and their links."""
        target = context.target
        counts = {self.table: count_moved(target, self.name, self.here_table)}
        for there, (table, column) in self.links.items():
            counts[there] = target.count(
                f"SELECT count(*) FROM moved_rows AS moved JOIN {table} AS l "
                f"ON l.{column} = moved.id WHERE moved.kind = %(kind)s",
                {"kind": self.name},
            )
        return counts


def rows_of(items: Sequence[Item], table: str) -> list[Mapping[str, Any]]:
    """The rows of all items for a table of O."""
    return [row for item in items for row in item.rows.get(table, ())]


def stamps(row: Row) -> dict[str, Any]:
    """When a row of V1 was made and changed, and by whom; V1 does not know it of all."""
    created = row["created_at"] or row["updated_at"] or EPOCH
    return {
        "created_at": created,
        "updated_at": row["updated_at"] or created,
        "created_by_id": row.get("_created_by_id"),
        "last_updated_by_id": row.get("_last_updated_by_id"),
    }


def present(context: Context, table: str, ids: Sequence[str | None]) -> set[str]:
    """Which of these things are here, of those that are moved before; in a dry run, all."""
    named = [one for one in ids if one is not None]
    return set(named) if context.is_dry else context.target.existing(table, named)


def taken_names(
    context: Context,
    table: str,
    column: str,
    rows: Sequence[Row],
    *,
    named: str,
    alive: bool = False,
) -> set[str]:
    """The ids of those rows of V1 whose name something else has here, in their organization.

    Args:
        context: The two databases.
        table: O's.
        column: Its column with the name, which is unique in an organization.
        rows: V1's.
        named: V1's column with the name.
        alive: Whether rows that are deleted give their names free.
    """
    only = " AND deleted_at IS NULL" if alive else ""
    found = context.target.query(
        f"SELECT id, organization_id, {column} AS name FROM {table} WHERE {column} = ANY(%(names)s)"
        f" AND organization_id = ANY(%(owners)s){only}",
        {
            "names": [row[named] for row in rows],
            "owners": [row["organization_id"] for row in rows],
        },
    )
    here = {(row["organization_id"], row["name"]): row["id"] for row in found}
    return {
        row["id"]
        for row in rows
        if here.get((row["organization_id"], row[named]), row["id"]) != row["id"]
    }
