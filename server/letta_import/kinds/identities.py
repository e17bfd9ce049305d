"""Identities, with the agents and blocks that are theirs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, present, stamps
from server.letta_import.source import Row

_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner, md5(t::text
        || coalesce((SELECT string_agg(l.agent_id, ',' ORDER BY l.agent_id)
            FROM identities_agents AS l WHERE l.identity_id = t.id), '') || '/'
        || coalesce((SELECT string_agg(l.block_id, ',' ORDER BY l.block_id)
            FROM identities_blocks AS l WHERE l.identity_id = t.id), '')) AS digest
    FROM identities AS t ORDER BY t.id
"""
_LINKS = """
    SELECT identity_id, {0}_id AS linked FROM identities_{0}s WHERE identity_id = ANY(%(ids)s)
    ORDER BY identity_id, {0}_id
"""
_KEYS = """
    SELECT id, organization_id, project_id, identifier_key FROM identities
    WHERE identifier_key = ANY(%(keys)s)
"""
_PROPERTY_TYPES = {"string", "number", "boolean", "json"}
TAKEN = "one by its identifier_key is here already"


class Identities(TableKind):
    """An identity, as one item with its links."""

    name = "identities"
    table = "identities"
    here_table = "identities"
    content = ("identifier_key", "name", "identity_type", "properties", "project_id")
    links: ClassVar = {
        "identities_agents": ("agent_identities", "identity_id"),
        "identities_blocks": ("block_identities", "identity_id"),
    }
    hang_on: ClassVar = {
        "identities_agents": ("identity_id", "identities"),
        "identities_blocks": ("identity_id", "identities"),
    }
    needs: ClassVar = {
        "identities": (
            *("id", "identifier_key", "name", "identity_type", "project_id", "organization_id"),
            *("created_at", "updated_at", "is_deleted", "properties"),
        ),
        "identities_agents": ("identity_id", "agent_id"),
        "identities_blocks": ("identity_id", "block_id"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with those of its agents and blocks that are here."""
        for rows in context.source.batches(_ROWS):
            ids = {"ids": [row["id"] for row in rows]}
            agents = _linked(context, "agent", ids)
            blocks = _linked(context, "block", ids)
            taken = _taken(context, rows)
            for row in rows:
                yield from _read(row, agents[row["id"]], blocks[row["id"]], taken)


_Links = tuple[list[str], int]
"""The ids of what is linked and here, and how many are not."""


def _linked(context: Context, what: str, ids: dict[str, list[str]]) -> dict[str, _Links]:
    rows = context.source.all(_LINKS.format(what), ids)
    here = present(context, f"{what}s", [row["linked"] for row in rows])
    found: dict[str, list[str]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["linked"] in here:
            found[row["identity_id"]].append(row["linked"])
        else:
            lost[row["identity_id"]] += 1
    return {one: (found[one], lost[one]) for one in ids["ids"]}


def _taken(context: Context, rows: Sequence[Row]) -> set[str]:
    keys = {"keys": [row["identifier_key"] for row in rows]}
    parts = ("organization_id", "project_id", "identifier_key")
    here = {
        tuple(one[part] for part in parts): one["id"] for one in context.target.query(_KEYS, keys)
    }
    return {
        row["id"]
        for row in rows
        if here.get(tuple(row[part] for part in parts), row["id"]) != row["id"]
    }


def _read(row: Row, agents: _Links, blocks: _Links, taken: set[str]) -> Iterator[Item | LeftOut]:
    counts = {
        "identities": 1,
        "identities_agents": len(agents[0]) + agents[1],
        "identities_blocks": len(blocks[0]) + blocks[1],
    }
    if reason := _why_left(row, taken):
        for table, count in counts.items():
            if count:
                is_told = table == "identities" and reason != FLAGGED
                yield LeftOut(table, reason, count, row["id"] if is_told else None)
        return
    lost = {"identities_agents": agents[1], "identities_blocks": blocks[1]}
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables=counts,
        rows={
            "identities": [_row(row)],
            "agent_identities": [{"agent_id": one, "identity_id": row["id"]} for one in agents[0]],
            "block_identities": [{"block_id": one, "identity_id": row["id"]} for one in blocks[0]],
        },
        left={table: {NOT_HERE: count} for table, count in lost.items() if count},
    )


def _why_left(row: Row, taken: set[str]) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    return TAKEN if row["id"] in taken else None


def _row(row: Row) -> dict[str, Any]:
    kind = row["identity_type"]
    return {
        **{name: row[name] for name in ("id", "organization_id", "identifier_key", "project_id")},
        "name": row["name"] or row["identifier_key"],
        "identity_type": kind if kind in ("org", "user", "other") else "other",
        "properties": _properties(row["properties"]),
        **stamps(row),
    }


def _properties(value: Any) -> list[dict[str, Any]]:
    """Those that are well-formed; of one key the last one."""
    found = {
        one["key"]: {"key": one["key"], "value": one.get("value"), "type": one["type"]}
        for one in (value if isinstance(value, list) else [])
        if isinstance(one, dict)
        and isinstance(one.get("key"), str)
        and one.get("type") in _PROPERTY_TYPES
    }
    return list(found.values())
