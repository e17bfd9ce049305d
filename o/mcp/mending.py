"""What MCP servers really send, made such that the official package takes it.

One tool whose schema is null would otherwise cost all the others.
"""

from collections.abc import Mapping
from typing import Any

from o.domain.mcp import McpTool
from o.domain.text import storable, storable_json
from o.errors import McpFailed

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_MOST_CURSOR = 10_000


def mended_greeting(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `initialize`: only the version counts for us."""
    info = raw.get("serverInfo")
    info = info if isinstance(info, Mapping) else {}
    return {
        "protocolVersion": str(raw.get("protocolVersion") or ""),
        "capabilities": {},
        "serverInfo": {
            "name": str(info.get("name") or "server"),
            "version": str(info.get("version") or "0"),
        },
    }


def mended_list(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A page of `tools/list`, without what is no tool.

    Raises:
        McpFailed: It holds no list, or one in which nothing is a tool: taken for a server without
            any, it would take their tools from agents.
    """
    kept = {key: raw[key] for key in ("resultType", "ttlMs", "cacheScope") if key in raw}
    tools = raw.get("tools")
    listed = tools if isinstance(tools, list) else ()
    found = [tool for one in listed if (tool := _tool(one)) is not None]
    if not found and tools != []:
        raise McpFailed("what it answers is no list of tools")
    cursor = raw.get("nextCursor")
    if isinstance(cursor, str) and 0 < len(cursor) < _MOST_CURSOR:
        kept["nextCursor"] = cursor
    return {**kept, "tools": found}


def tools_of(page: Mapping[str, Any]) -> list[McpTool]:
    """The tools of a mended page."""
    return [
        McpTool(
            name=one["name"],
            description=one.get("description") or "",
            input_schema=one.get("inputSchema") or {},
            output_schema=one.get("outputSchema"),
            annotations=one.get("annotations") or {},
        )
        for one in page["tools"]
    ]


def _tool(raw: Any) -> dict[str, Any] | None:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str) or not raw["name"]:
        return None
    schema = raw.get("inputSchema")
    schema = schema if isinstance(schema, Mapping) else {}
    tool: dict[str, Any] = {
        "name": storable(raw["name"]),
        "inputSchema": {**storable_json(schema), "type": "object"},
    }
    description = raw.get("description") or raw.get("title")
    if isinstance(description, str):
        tool["description"] = storable(description)
    if isinstance(output := raw.get("outputSchema"), Mapping):
        tool["outputSchema"] = {**storable_json(output), "type": "object"}
    if isinstance(annotations := raw.get("annotations"), Mapping):
        hints = {
            hint: annotations[hint] for hint in _HINTS if isinstance(annotations.get(hint), bool)
        }
        title = annotations.get("title")
        tool["annotations"] = {**hints, **({"title": title} if isinstance(title, str) else {})}
    return tool
