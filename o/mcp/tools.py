"""What a list of an MCP server's tools means for the rows of its tools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from o.domain.actors import Actor
from o.domain.mcp import McpServer, McpTool, repeats_safely
from o.domain.tools import StoredTool
from o.ids import derived_id
from o.mcp.names import tool_name
from o.mcp.schemas import parameters_of

_MOST_DESCRIPTION = 1_024
"""Of what OpenAI takes of a function's description."""

_COMPARED = ("description", "json_schema", "is_idempotent", "metadata", "tags", "problem")


@dataclass(frozen=True)
class ToolChanges:
    """What becomes of the rows of a server's tools. A row keeps its id and its name."""

    added: Sequence[StoredTool]
    updated: Sequence[StoredTool]
    deleted: Sequence[StoredTool]


def changes_of_tools(
    server: McpServer,
    actor: Actor,
    listed: Sequence[McpTool],
    rows: Sequence[StoredTool],
    taken: Collection[str],
) -> ToolChanges:
    """What has to change for the rows to be the tools of a list.

    Args:
        server: Whose tools.
        actor: Who asked for it.
        listed: What the server has now.
        rows: What is stored of it.
        taken: Names of all other tools of the organization.
    """
    known = {row.mcp_name: row for row in rows}
    names = {*taken, *(row.name for row in rows)}
    added, updated = [], []
    for tool in listed:
        row = known.pop(tool.name, None)
        if row is None:
            new = _row(server, actor, tool, names)
            names.add(new.name)
            added.append(new)
        elif (changed := _changed(server, actor, tool, row)) is not None:
            updated.append(changed)
    return ToolChanges(added, updated, list(known.values()))


def own_names_of(tool: StoredTool) -> dict[str, Any]:
    """The server's names of arguments that go by another one here."""
    mcp = tool.metadata.get("mcp")
    names = mcp.get("arguments") if isinstance(mcp, dict) else None
    return names if isinstance(names, dict) else {}


def _row(server: McpServer, actor: Actor, tool: McpTool, names: Collection[str]) -> StoredTool:
    name = tool_name(tool.name, server_id=server.id, server_name=server.server_name, taken=names)
    now = datetime.now(UTC)
    return StoredTool(
        id=derived_id("tool", server.id, tool.name),
        organization_id=server.organization_id,
        name=name,
        tool_type="external_mcp",
        source_type="json",
        mcp_server_id=server.id,
        mcp_name=tool.name,
        created_at=now,
        updated_at=now,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        **_described(server, tool, name),
    )


def _changed(server: McpServer, actor: Actor, tool: McpTool, row: StoredTool) -> StoredTool | None:
    described = _described(server, tool, row.name)
    if all(getattr(row, name) == described[name] for name in _COMPARED):
        return None
    changes = {"updated_at": datetime.now(UTC), "last_updated_by_id": actor.user_id}
    return row.model_copy(update=described | changes)


def _described(server: McpServer, tool: McpTool, name: str) -> dict[str, Any]:
    """The columns that follow from what the server says of a tool."""
    parameters = parameters_of(tool.input_schema)
    description = tool.description.strip() or f"{tool.name}, a tool of {server.server_name}"
    mcp = {"server_id": server.id, "server_name": server.server_name, "tool_name": tool.name}
    extra = {"annotations": dict(tool.annotations)} if tool.annotations else {}
    renamed = {"arguments": parameters.own_names} if parameters.own_names else {}
    return {
        "description": description,
        "json_schema": {
            "name": name,
            "description": description[:_MOST_DESCRIPTION],
            "parameters": parameters.schema,
        },
        "is_idempotent": repeats_safely(tool.annotations),
        "metadata": {"mcp": {**mcp, **extra, **renamed}},
        "tags": [f"mcp:{server.server_name}"],
        "problem": "",
    }
