"""Agents, with their tags and their links to blocks and tools."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from o.letta.agents import agent_fields
from o.letta.notes import Notes
from server.letta_import.agent_tools import HeldTools, tools_held
from server.letta_import.kind import Context, Item, Kind, LeftOut, Needs
from server.letta_import.kinds.blocks import UNREADABLE
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER, count_moved
from server.letta_import.kinds.sealing import outside_jsonb
from server.letta_import.kinds.table_kind import stamps
from server.letta_import.source import Row, UnreadableJson
from server.letta_import.target import Target, digest

NO_BLOCK = "its block is not here"

_AGENTS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner,
        md5(CASE WHEN {outside_jsonb("t")} THEN jsonb_build_array(t.name, t.description, t.system,
                t.agent_type, t.timezone, t.llm_config::text, t.embedding_config::text,
                t.metadata_::text, t.tool_rules::text, t.response_format::text,
                t.compaction_settings::text)::text
            ELSE (to_jsonb(t) - '{{message_ids,updated_at,last_run_completion,last_run_duration_ms,
                               last_stop_reason}}'::text[])::text END
            || coalesce((SELECT string_agg(l.tag, ',' ORDER BY l.tag)
                         FROM agents_tags AS l WHERE l.agent_id = t.id), '')
            || coalesce((SELECT string_agg(l.block_label || l.block_id, ',' ORDER BY l.block_id)
                         FROM blocks_agents AS l WHERE l.agent_id = t.id), '')
            || coalesce((SELECT string_agg(l.tool_id, ',' ORDER BY l.tool_id)
                         FROM tools_agents AS l WHERE l.agent_id = t.id), '')) AS digest
    FROM agents AS t ORDER BY t.id
"""
_TAGS = "SELECT * FROM agents_tags WHERE agent_id = ANY(%(ids)s) ORDER BY agent_id, tag"
# In which order a prompt has its blocks V1 does not say: as they were made, then.
_BLOCKS = """
    SELECT l.*, b.id IS NOT NULL AND NOT b.is_deleted AND b.organization_id = a.organization_id
        AS is_there
    FROM blocks_agents AS l JOIN agents AS a ON a.id = l.agent_id
    LEFT JOIN block AS b ON b.id = l.block_id
    WHERE l.agent_id = ANY(%(ids)s) ORDER BY l.agent_id, b.created_at, l.block_label
"""
_SET = (  # what people set
    *("name", "agent_type", "system", "model", "embedding", "model_settings", "context_window"),
    *("description", "metadata", "tags", "tool_names", "timezone", "llm_options"),
    *("compaction_settings", "response_format", "tool_rules", "message_buffer_autoclear"),
    *("enable_sleeptime", "max_files_open", "per_file_view_window_char_limit", "hidden"),
)
_HELD_BLOCKS = """(
    SELECT coalesce(jsonb_agg(jsonb_build_array(l.label, l.block_id) ORDER BY l.label), '[]')
    FROM agent_blocks AS l WHERE l.agent_id = t.id)
"""
_HERE = f"""
    SELECT id, {digest("t", _SET, _HELD_BLOCKS)} AS digest
    FROM agents AS t WHERE id = ANY(%(ids)s) AND deleted_at IS NULL
"""
_KEPT = ("entity_id", "deployment_id")
_AS_THEY_ARE = ("last_run_completion", "last_run_duration_ms", "last_stop_reason")


class Agents(Kind):
    """What an agent is; its threads come last of all, so that it speaks once everything is here."""

    name = "agents"
    table = "agents"
    hang_on: ClassVar = {
        "agents_tags": ("agent_id", "agents"),
        "blocks_agents": ("agent_id", "agents"),
        "tools_agents": ("agent_id", "agents"),
    }
    needs: ClassVar[Needs] = {
        "agents": (
            *("id", "name", "organization_id", "created_at", "updated_at", "description"),
            *("message_ids", "system", "agent_type", "llm_config", "embedding_config", "metadata_"),
            *("tool_rules", "is_deleted", "project_id", "template_id", "base_template_id"),
            *("message_buffer_autoclear", "enable_sleeptime", "response_format", "timezone"),
            *("last_run_completion", "last_run_duration_ms", "last_stop_reason", "hidden"),
            *("max_files_open", "per_file_view_window_char_limit", "compaction_settings"),
            *("_created_by_id", "_last_updated_by_id"),
        ),
        "agents_tags": ("agent_id", "tag"),
        "blocks_agents": ("agent_id", "block_id", "block_label"),
        "tools_agents": ("agent_id", "tool_id"),
        "tools": ("id", "name", "tool_type", "is_deleted", "created_at"),
        "block": ("id", "is_deleted", "organization_id", "created_at"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with its links. Names need not differ."""
        for rows in context.source.batches(_AGENTS):
            ids = {"ids": [row["id"] for row in rows]}
            tools = tools_held(context, ids["ids"])
            links: dict[str, dict[str, list[Row]]] = {}
            for table, statement in (("agents_tags", _TAGS), ("blocks_agents", _BLOCKS)):
                links[table] = defaultdict(list)
                for link in context.source.all(statement, ids):
                    links[table][link["agent_id"]].append(link)
            for row in rows:
                of_it = {name: of[row["id"]] for name, of in links.items()}
                yield from _read(context, row, of_it, tools[row["id"]])

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By what people set of them, and the blocks that they have."""
        return {row["id"]: row["digest"] for row in target.query(_HERE, {"ids": list(ids)})}

    def lock(self, target: Target, ids: Sequence[str]) -> None:
        """Their rows."""
        target.lock("agents", ids)

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """The agents, then their blocks: those that they have in V1, and no others."""
        target = context.target
        target.upsert("agents", [row for item in items for row in item.rows["agents"]])
        target.query(
            "DELETE FROM agent_blocks WHERE agent_id = ANY(%(ids)s)",
            {"ids": [item.id for item in items]},
        )
        target.upsert("agent_blocks", [row for item in items for row in item.rows["agent_blocks"]])
        target.upsert("kept_parts", [row for item in items for row in item.rows["kept_parts"]])

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Links are counted where they stand."""
        of_moved = (
            "FROM moved_rows AS moved JOIN agents AS t ON t.id = moved.id "
            "WHERE moved.kind = 'agents'"
        )
        count = context.target.count
        return {
            "agents": count_moved(context.target, self.name, "agents"),
            "agents_tags": count(f"SELECT coalesce(sum(cardinality(t.tags)), 0) {of_moved}"),
            "tools_agents": count(f"SELECT coalesce(sum(cardinality(t.tool_names)), 0) {of_moved}"),
            "blocks_agents": count(
                f"SELECT count(*) FROM agent_blocks WHERE agent_id IN (SELECT t.id {of_moved})"
            ),
        }


def _read(
    context: Context, row: Row, links: dict[str, list[Row]], tools: HeldTools
) -> Iterator[Item | LeftOut]:
    counts = {table: len(of_it) for table, of_it in links.items()} | {"tools_agents": tools.rows}
    if reason := _why_left(row):
        yield LeftOut("agents", reason, id=row["id"])
        for table, count in counts.items():
            yield LeftOut(table, "its agent is left out", count)
        return
    left: dict[str, dict[str, int]] = {"tools_agents": tools.left} if tools.left else {}
    blocks = _held_blocks(context, row["id"], links["blocks_agents"], left)
    notes = Notes()
    fields = agent_fields(row, notes, "")
    kept = fields.kept | {name: row[name] for name in _KEPT if row.get(name) is not None}
    agent = fields.values | {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "tags": [link["tag"] for link in links["agents_tags"]],
        "tool_names": tools.names,
        **stamps(row),
        **{name: row[name] for name in _AS_THEY_ARE},
        "deleted_at": None,
    }
    parts = [
        {"organization_id": row["organization_id"], "owner_id": row["id"], "source": "letta"}
        | {"name": name, "part": part}
        for name, part in kept.items()
    ]
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={"agents": 1} | counts,
        rows={"agents": [agent], "agent_blocks": blocks, "kept_parts": parts},
        left=left,
        told=[*notes.lines(), *tools.told],
    )


def _why_left(row: Row) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    if any(isinstance(value, UnreadableJson) for value in row.values()):
        return UNREADABLE
    return None


def _held_blocks(
    context: Context, agent_id: str, links: Sequence[Row], left: dict[str, dict[str, int]]
) -> list[dict[str, Any]]:
    ids = [link["block_id"] for link in links if link["is_there"]]
    here = set(ids) if context.is_dry else context.target.existing("blocks", ids)
    held = [
        {"agent_id": agent_id, "label": link["block_label"], "block_id": link["block_id"]}
        for link in links
        if link["block_id"] in here
    ]
    if len(held) < len(links):
        left["blocks_agents"] = {NO_BLOCK: len(links) - len(held)}
    return [link | {"position": n} for n, link in enumerate(held)]
