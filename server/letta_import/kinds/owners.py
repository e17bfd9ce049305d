"""Organizations and users."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID
from server.letta_import.kind import Context, Item, Kind, LeftOut, Needs
from server.letta_import.target import Target, digest

FLAGGED = "flagged as deleted"
NO_OWNER = "its organization is not there"

LIVE_OWNER = """
    EXISTS (SELECT FROM organizations AS owner WHERE owner.id = {0}.organization_id
            AND NOT owner.is_deleted)
"""
"""In SQL, whether the organization of a row of V1 is moved."""


class Organizations(Kind):
    """Whom everything belongs to. The default one is here before anything is moved."""

    name = "organizations"
    table = "organizations"
    needs: ClassVar[Needs] = {"organizations": ("id", "name", "created_at", "is_deleted")}

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Their names; the rest of V1's columns is of its own service."""
        for row in context.source.rows(
            "SELECT md5(t::text) AS digest, t.id, t.name, t.is_deleted, "
            "coalesce(t.created_at, now()) AS created_at FROM organizations AS t ORDER BY t.id"
        ):
            if row["is_deleted"]:
                yield LeftOut(self.table, FLAGGED, id=row["id"])
                continue
            kept = {name: row[name] for name in ("id", "name", "created_at")}
            yield Item(
                row["id"], row["id"], row["digest"], {self.table: 1}, {"organizations": [kept]}
            )

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By their names."""
        return _by_digest(target, "organizations", ("name",), ids)

    def adopts(self, item: Item) -> bool:
        """The default organization is the same one in every server."""
        return item.id == DEFAULT_ORGANIZATION_ID

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """One row for each."""
        rows = [row for item in items for row in item.rows["organizations"]]
        context.target.upsert("organizations", rows, update=["name"])

    def count_here(self, context: Context) -> Mapping[str, int]:
        """One for one."""
        return {self.table: count_moved(context.target, self.name, "organizations")}


class Users(Kind):
    """Who acts for an organization. The default one is here before anything is moved."""

    name = "users"
    table = "users"
    needs: ClassVar[Needs] = {
        "users": ("id", "name", "organization_id", "created_at", "is_deleted")
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Their names. An old row may not say when it was made."""
        for row in context.source.rows(
            "SELECT md5(t::text) AS digest, t.id, t.name, t.organization_id, t.is_deleted, "
            f"coalesce(t.created_at, now()) AS created_at, {LIVE_OWNER.format('t')} AS has_owner "
            "FROM users AS t ORDER BY t.id"
        ):
            if row["is_deleted"] or not row["has_owner"]:
                yield LeftOut(self.table, FLAGGED if row["is_deleted"] else NO_OWNER, id=row["id"])
                continue
            kept = {name: row[name] for name in ("id", "name", "organization_id", "created_at")}
            yield Item(
                row["id"], row["organization_id"], row["digest"], {self.table: 1}, {"users": [kept]}
            )

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By their names."""
        return _by_digest(target, "users", ("name", "organization_id"), ids)

    def adopts(self, item: Item) -> bool:
        """The default user is the same one in every server."""
        return item.id == DEFAULT_USER_ID

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """One row for each."""
        rows = [row for item in items for row in item.rows["users"]]
        context.target.upsert("users", rows, update=["name", "organization_id"])

    def count_here(self, context: Context) -> Mapping[str, int]:
        """One for one."""
        return {self.table: count_moved(context.target, self.name, "users")}


def count_moved(target: Target, kind: str, table: str) -> int:
    """How many of the things of a kind that were moved have their row in a table of O."""
    return target.count(
        f'SELECT count(*) FROM moved_rows AS moved JOIN "{table}" AS t ON t.id = moved.id '
        "WHERE moved.kind = %(kind)s",
        {"kind": kind},
    )


def _by_digest(
    target: Target, table: str, columns: Sequence[str], ids: Sequence[str]
) -> dict[str, str]:
    found = target.query(
        f'SELECT id, {digest("t", columns)} AS digest FROM "{table}" AS t WHERE id = ANY(%(ids)s)',
        {"ids": list(ids)},
    )
    return {row["id"]: row["digest"] for row in found}
