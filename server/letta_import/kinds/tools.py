"""Tools that organizations made, and those of their MCP servers. No source is ever run."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from o.errors import OError
from o.mcp.schemas import parameters_of
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.schema import derive
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.mcp_servers import server_ids
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.sealing import object_in
from server.letta_import.kinds.table_kind import TableKind, stamps, taken_names
from server.letta_import.source import Row, UnreadableJson

_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner, m.mcp_server_id, m.links,
        md5(t::text || coalesce(m.mcp_server_id, '')) AS digest
    FROM tools AS t LEFT JOIN (
        SELECT tool_id, min(mcp_server_id) AS mcp_server_id, count(*) AS links
        FROM mcp_tools GROUP BY tool_id
    ) AS m ON m.tool_id = t.id
    ORDER BY t.id
"""
_SERVERS = "SELECT id, organization_id, server_name, is_deleted FROM mcp_server"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEARTBEAT = "request_heartbeat"
BASE = "comes with O, under an id of its own"
NOT_BUILT = "a base tool of V1 that is not built here"
TAKEN = "one by its name is here already, and agents use that"
RESERVED = "its name is that of a tool that comes with O"
NO_NAME = "models do not take its name"


class Tools(TableKind):
    """Custom tools and those of MCP servers, with their ids; agents have them by name."""

    name = "tools"
    table = "tools"
    here_table = "tools"
    content = (
        *("name", "description", "source_type", "source_code", "json_schema", "tags"),
        *("return_char_limit", "pip_requirements", "npm_requirements", "mcp_server_id"),
        *("default_requires_approval", "enable_parallel_execution", "args_json_schema"),
    )
    hang_on: ClassVar = {"mcp_tools": ("tool_id", "tools")}
    needs: ClassVar = {
        "tools": (
            *("id", "name", "description", "source_type", "source_code", "json_schema", "tags"),
            *("created_at", "updated_at", "is_deleted", "organization_id", "return_char_limit"),
            *("tool_type", "args_json_schema", "metadata_", "pip_requirements"),
            *("npm_requirements", "default_requires_approval", "enable_parallel_execution"),
        ),
        "mcp_tools": ("mcp_server_id", "tool_id"),
        "mcp_server": ("id", "organization_id", "server_name", "is_deleted"),
    }
    counted = ("tools", "mcp_tools")

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each as it is; base tools are O's own here."""
        servers: dict[str, str] | None = None
        for rows in context.source.batches(_ROWS):
            taken = taken_names(context, "tools", "name", rows, named="name")
            for row in rows:
                if reason := _why_left(row, taken):
                    yield from _left(row, reason)
                    continue
                if servers is None:
                    servers = server_ids(context, context.source.all(_SERVERS))
                yield _item(row, servers)

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Tools, and those of them that belong to a server, as V1 has links for."""
        of_servers = (
            "SELECT count(*) FROM moved_rows AS moved JOIN tools AS t ON t.id = moved.id "
            "WHERE moved.kind = %(kind)s AND t.mcp_server_id IS NOT NULL"
        )
        linked = context.target.count(of_servers, {"kind": self.name})
        return {**super().count_here(context), "mcp_tools": linked}


def _left(row: Row, reason: str) -> Iterator[LeftOut]:
    is_known = reason in (FLAGGED, BASE)
    yield LeftOut("tools", reason, id=None if is_known else f"{row['name']} ({row['id']})")
    if row["links"]:
        yield LeftOut("mcp_tools", "its tool is left out", row["links"])


def _why_left(row: Row, taken: set[str]) -> str | None:
    name = row["name"]
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    if str(row["tool_type"]).startswith("letta_"):
        return BASE if name in BUILT_IN_TOOLS else NOT_BUILT
    if name in BUILT_IN_TOOLS:
        return RESERVED
    if not _NAME.fullmatch(name):
        return NO_NAME
    return TAKEN if row["id"] in taken else None


def _item(row: Row, servers: Mapping[str, str]) -> Item:
    tool, told = _row(row, servers)
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables={"tools": 1} | ({"mcp_tools": row["links"]} if row["links"] else {}),
        rows={"tools": [tool]},
        told=told,
    )


def _row(row: Row, servers: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    is_mcp = row["tool_type"] == "external_mcp"
    schema, problem = _schema(row)
    server = servers.get(row["mcp_server_id"] or "") if is_mcp else None
    if is_mcp and server is None:
        problem = "Its MCP server did not come along from V1: delete it, or add the server."
    elif not is_mcp and not row["source_code"]:
        problem = problem or f"A tool of type {row['tool_type']} has no source that can be run."
    source_type = _source_type(row)
    told = [problem] if problem else []
    if source_type == "typescript":
        told.append("written in TypeScript, which nothing runs here")
    return {
        **{name: row[name] for name in ("id", "organization_id", "name")},
        "tool_type": "external_mcp" if is_mcp else "custom",
        "description": row["description"] or "",
        "source_type": source_type,
        "source_code": None if is_mcp else row["source_code"],
        "json_schema": schema,
        "args_json_schema": object_in(row["args_json_schema"]) or None,
        "tags": _texts(row["tags"]),
        "return_char_limit": row["return_char_limit"] or 50_000,
        "pip_requirements": _objects(row["pip_requirements"]),
        "npm_requirements": _objects(row["npm_requirements"]),
        "default_requires_approval": row["default_requires_approval"],
        "enable_parallel_execution": bool(row["enable_parallel_execution"]),
        "is_idempotent": False,
        "mcp_server_id": server,
        "mcp_name": row["name"] if is_mcp else None,
        "metadata": _metadata(row, schema, server),
        "problem": problem,
        **stamps(row),
    }, told


def _source_type(row: Row) -> str:
    """V1 says `json` of Python that came over its API."""
    if row["tool_type"] == "external_mcp":
        return "json"
    return "typescript" if row["source_type"] == "typescript" else "python"


def _schema(row: Row) -> tuple[dict[str, Any], str]:
    """As models see it, and why there is none that says something."""
    schema, name = row["json_schema"], row["name"]
    problem = ""
    if not isinstance(schema, dict) or not isinstance(schema.get("parameters", {}), dict):
        try:
            schema = derive(row["source_code"] or "")
        except OError:
            schema, problem = {}, "No schema of its arguments came along from V1, and none fits."
    parameters = schema.get("parameters") or {}
    properties = parameters.get("properties")
    shown = {
        **parameters,
        "type": "object",
        "properties": dict(properties) if isinstance(properties, dict) else {},
    }
    if not re.search(rf"\b{_HEARTBEAT}\b", _own_source(row)):
        _without_heartbeat(shown)
    description = schema.get("description") or row["description"] or ""
    return {**schema, "name": name, "description": str(description), "parameters": shown}, problem


def _own_source(row: Row) -> str:
    return "" if row["tool_type"] == "external_mcp" else row["source_code"] or ""


def _without_heartbeat(parameters: dict[str, Any]) -> None:
    """Take out what V1 put into schemas for its older loops, and no tool takes."""
    parameters["properties"].pop(_HEARTBEAT, None)
    required = parameters.get("required")
    if isinstance(required, list) and _HEARTBEAT in required:
        parameters["required"] = [one for one in required if one != _HEARTBEAT]


def _metadata(row: Row, schema: dict[str, Any], server: str | None) -> dict[str, Any]:
    kept = object_in(row["metadata_"])
    if row["tool_type"] == "external_mcp":
        fitted = parameters_of(schema["parameters"])
        schema["parameters"] = fitted.schema
        mcp = {**object_in(kept.get("mcp")), "server_id": server, "tool_name": row["name"]}
        named = {"arguments": fitted.own_names} if fitted.own_names else {}
        return {**kept, "mcp": {**mcp, **named}}
    is_custom = row["tool_type"] == "custom"
    return kept if is_custom else {**kept, "v1_tool_type": row["tool_type"]}


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]] | None:
    if not isinstance(value, list) or isinstance(value, UnreadableJson):
        return None
    return [one for one in value if isinstance(one, dict)] or None
