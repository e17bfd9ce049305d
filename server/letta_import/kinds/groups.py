"""Groups of agents. They are kept and shown; nothing runs them here."""

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
            FROM groups_agents AS l WHERE l.group_id = t.id), '') || '/'
        || coalesce((SELECT string_agg(l.block_id, ',' ORDER BY l.block_id)
            FROM groups_blocks AS l WHERE l.group_id = t.id), '')) AS digest
    FROM groups AS t ORDER BY t.id
"""
_LINKS = """
    SELECT group_id, {0}_id AS linked FROM groups_{0}s WHERE group_id = ANY(%(ids)s)
    ORDER BY group_id, {0}_id
"""
_TYPES = {"round_robin", "supervisor", "dynamic", "sleeptime", "voice_sleeptime"}
_CONFIG = (
    *("max_turns", "termination_token", "sleeptime_agent_frequency"),
    *("max_message_buffer_length", "min_message_buffer_length"),
)
_SAME = ("project_id", "template_id", "base_template_id", "deployment_id", "hidden")
NOT_RUN = "a group that is kept and shown: nothing runs it here"


class Groups(TableKind):
    """A group, as one item with its agents, in V1's order, and its blocks."""

    name = "groups"
    table = "groups"
    here_table = "groups"
    content = ("description", "manager_type", "manager_agent_id", "manager_config", "hidden")
    links: ClassVar = {
        "groups_agents": ("group_agents", "group_id"),
        "groups_blocks": ("group_blocks", "group_id"),
    }
    hang_on: ClassVar = {
        "groups_agents": ("group_id", "groups"),
        "groups_blocks": ("group_id", "groups"),
    }
    needs: ClassVar = {
        "groups": (
            *("id", "description", "manager_type", "manager_agent_id", "agent_ids", "created_at"),
            *("updated_at", "is_deleted", "organization_id", "turns_counter"),
            *("last_processed_message_id", *_CONFIG, *_SAME),
        ),
        "groups_agents": ("group_id", "agent_id"),
        "groups_blocks": ("group_id", "block_id"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with those of its agents and blocks that are here."""
        for rows in context.source.batches(_ROWS):
            ids = {"ids": [row["id"] for row in rows]}
            agents, blocks = (_links(context, what, ids) for what in ("agent", "block"))
            managers = [row["manager_agent_id"] for row in rows]
            named = [*managers, *(one for of in agents.values() for one in of)]
            here = present(context, "agents", named)
            here |= present(context, "blocks", [one for of in blocks.values() for one in of])
            for row in rows:
                yield from _read(row, agents[row["id"]], blocks[row["id"]], here)


def _links(context: Context, what: str, ids: dict[str, list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in context.source.all(_LINKS.format(what), ids):
        found[row["group_id"]].append(row["linked"])
    return found


def _read(
    row: Row, agents: Sequence[str], blocks: Sequence[str], here: set[str]
) -> Iterator[Item | LeftOut]:
    counts = {"groups": 1, "groups_agents": len(agents), "groups_blocks": len(blocks)}
    if row["is_deleted"] or not row["has_owner"]:
        reason = FLAGGED if row["is_deleted"] else NO_OWNER
        for table, count in counts.items():
            if count:
                yield LeftOut(table, reason, count, None)
        return
    members = [one for one in _in_order(row, agents) if one in here]
    shared = [one for one in blocks if one in here]
    left = {"groups_agents": len(agents) - len(members), "groups_blocks": len(blocks) - len(shared)}
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables=counts,
        rows={
            "groups": [_row(row, here)],
            "group_agents": _places(row["id"], "agent_id", members),
            "group_blocks": _places(row["id"], "block_id", shared),
        },
        left={table: {NOT_HERE: count} for table, count in left.items() if count},
        told=[NOT_RUN],
    )


def _in_order(row: Row, linked: Sequence[str]) -> list[str]:
    """The agents that are linked, in the order of the group's own list."""
    named = row["agent_ids"] if isinstance(row["agent_ids"], list) else []
    places = {one: place for place, one in enumerate(named) if isinstance(one, str)}
    return sorted(linked, key=lambda one: places.get(one, len(places)))


def _places(group_id: str, column: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    return [{"group_id": group_id, column: one, "position": place} for place, one in enumerate(ids)]


def _row(row: Row, here: set[str]) -> dict[str, Any]:
    manager, kind = row["manager_agent_id"], row["manager_type"]
    return {
        **{name: row[name] for name in ("id", "organization_id", *_SAME)},
        "description": row["description"] or "",
        "manager_type": kind if kind in _TYPES else "round_robin",
        "manager_agent_id": manager if manager in here else None,
        "manager_config": {name: row[name] for name in _CONFIG if row[name] is not None},
        "turns_counter": row["turns_counter"],
        "last_processed_message_id": row["last_processed_message_id"],
        **stamps(row),
    }
