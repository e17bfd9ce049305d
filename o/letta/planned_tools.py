"""Tools and MCP servers of an agent file, as rows. The source of a tool is never run here."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from o.domain.mcp import McpServer, McpServerType
from o.domain.text import storable, storable_json
from o.domain.tools import StoredTool
from o.ids import new_id
from o.letta.file_models import AgentFile, FileServer, FileTool
from o.letta.kept import FIELDS, kept_of_part
from o.letta.notes import Notes
from o.letta.plans import PlannedTool, Setting
from o.letta.reading import unreadable
from o.letta.values import text_of, texts_of
from o.tools.registry import BUILT_IN_TOOLS

RETIRED = "A tool that V1 brought with it, and that is not served here, is kept for exports"
OWN_NAME = "A custom tool has the name of one that comes with the server: that one is used"
NO_SERVER = "A tool of an MCP server that the file does not name is kept for exports"
NO_SCHEMA = "it has neither a schema nor a source to derive one from"
UNRUNNABLE = "Tools of the type {} cannot be run: give it a source of its own."
SOURCELESS = "A tool of a type that cannot be run here is there, and calls of it fail"
ODD_SERVER = "An MCP server of a type that is not known is kept for exports"
NO_ENVIRONMENT = "An MCP server comes without what is secret: set its token, headers, environment"

MAX_RETURN_CHARS = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAG = "mcp:"
_SERVER_TYPES: dict[str, McpServerType] = {
    "streamable_http": "streamable_http",
    "sse": "sse",
    "stdio": "stdio",
}
_HEARTBEAT = "request_heartbeat"


def plan_servers(file: AgentFile, setting: Setting, notes: Notes) -> dict[str, McpServer]:
    """The MCP servers, by the file's ids. Their tools are not asked for."""
    planned: dict[str, McpServer] = {}
    for place, one in enumerate(file.mcp_servers):
        kind = _SERVER_TYPES.get(one.server_type)
        if kind is None:
            notes.tell(ODD_SERVER, f"mcp_servers[{place}]")
            continue
        notes.tell(NO_ENVIRONMENT, server_name_of(one))
        planned[one.id] = _server(one, kind, setting)
    return planned


def server_name_of(server: FileServer) -> str:
    """What a server is called here."""
    return _server_name(server.server_name)


def _server_name(text: str) -> str:
    return storable(text).strip()


def _server(one: FileServer, kind: McpServerType, setting: Setting) -> McpServer:
    stdio = one.stdio_config or {}
    return McpServer(
        id=new_id("mcp_server"),
        server_name=server_name_of(one),
        server_type=kind,
        server_url=text_of(one.server_url),
        command=text_of(stdio.get("command")),
        args=[storable(arg) for arg in stdio.get("args") or () if isinstance(arg, str)],
        **setting.stamps,
    )


def plan_tools(
    file: AgentFile, setting: Setting, notes: Notes
) -> tuple[list[PlannedTool], dict[str, str], dict[str, Any]]:
    """The tools that are rows.

    Returns:
        The rows; the file's id of each tool that agents can have, to its name; and, by the file's
        id, what is kept of the others.
    """
    planned: dict[str, PlannedTool] = {}
    names: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for place, one in enumerate(file.tools):
        where = f"tools[{place}]"
        if one.name in BUILT_IN_TOOLS:
            if not one.tool_type.startswith("letta_"):
                notes.tell(OWN_NAME, f"{where}: {one.name}")
            names[one.id] = one.name
            continue
        found = _plan_tool(one, file.mcp_servers, setting, notes, where)
        if found is None:
            kept[one.id] = _as_json(one)
        else:
            told = kept_of_part(one, notes, where)
            if found.tool.problem:
                told[FIELDS] = {"tool_type": one.tool_type, **told.get(FIELDS, {})}
            planned[found.tool.name] = replace(found, kept=told)
            names[one.id] = found.tool.name
    return list(planned.values()), names, kept


def _plan_tool(
    one: FileTool, servers: Sequence[FileServer], setting: Setting, notes: Notes, where: str
) -> PlannedTool | None:
    if one.tool_type.startswith("letta_"):
        notes.tell(RETIRED, f"{where}: {storable(one.name)[:100]}")
        return None
    if not _NAME.fullmatch(one.name):
        raise unreadable(f"{where}.name: a tool's name has 1 to 64 of A-Z a-z 0-9 _ -")
    if one.tool_type != "external_mcp":
        return PlannedTool(_custom(one, setting, notes, where))
    name = next((tag[len(_TAG) :] for tag in one.tags or () if tag.startswith(_TAG)), None)
    if name is None:
        notes.tell(NO_SERVER, f"{where}: {one.name}")
        return None
    name = _server_name(name)
    server_id = next((server.id for server in servers if server_name_of(server) == name), None)
    tool = _tool(one, _schema(one, setting, where), setting)
    found = tool.model_copy(update={"tool_type": "external_mcp", "mcp_name": one.name})
    return PlannedTool(found, server_id, name)


def _custom(one: FileTool, setting: Setting, notes: Notes, where: str) -> StoredTool:
    tool = _tool(one, _schema(one, setting, where), setting)
    problem = ""
    if one.tool_type != "custom":  # such as external_composio, of services that are gone
        notes.tell(SOURCELESS, f"{where}: {one.name}")
        problem = UNRUNNABLE.format(storable(one.tool_type)[:100])
    kind = "typescript" if one.source_type == "typescript" else "python"
    own = {"source_type": kind, "source_code": text_of(one.source_code) or "", "problem": problem}
    return tool.model_copy(update=own)


def _tool(one: FileTool, schema: dict[str, Any], setting: Setting) -> StoredTool:
    limit = one.return_char_limit or 0
    return StoredTool(
        id=new_id("tool"),
        name=one.name,
        description=storable(one.description or str(schema.get("description") or "")),
        json_schema=schema,
        args_json_schema=storable_json(one.args_json_schema),
        tags=texts_of(one.tags),
        return_char_limit=limit if 1 <= limit <= MAX_RETURN_CHARS else 50_000,
        pip_requirements=_requirements(one.pip_requirements),
        npm_requirements=_requirements(one.npm_requirements),
        default_requires_approval=one.default_requires_approval,
        enable_parallel_execution=bool(one.enable_parallel_execution),
        is_idempotent=one.o_is_idempotent,
        allowed_hosts=None if one.o_allowed_hosts is None else texts_of(one.o_allowed_hosts),
        metadata=storable_json(one.metadata_ or {}),
        **setting.stamps,
    )


def _requirements(given: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    named = [
        {"name": storable(one["name"]), "version": text_of(one.get("version"))}
        for one in given or ()
        if text_of(one.get("name"))
    ]
    return named or None


def _schema(one: FileTool, setting: Setting, where: str) -> dict[str, Any]:
    """What models are shown; the argument that V1 adds for its legacy loop is taken off."""
    given = one.json_schema or setting.schemas.get(one.id)
    if not given:
        raise unreadable(f"{where}.json_schema: {NO_SCHEMA}")
    schema: dict[str, Any] = storable_json(given)
    parameters = schema.get("parameters") or {}
    properties = parameters.get("properties", {}) if isinstance(parameters, dict) else None
    if not isinstance(properties, dict):
        raise unreadable(f"{where}.json_schema.parameters: no JSON schema of type object")
    required = [name for name in texts_of(parameters.get("required")) if name != _HEARTBEAT]
    properties = {name: value for name, value in properties.items() if name != _HEARTBEAT}
    whole = {**parameters, "type": "object", "properties": properties, "required": required}
    return {**schema, "name": one.name, "parameters": whole}


def _as_json(part: FileTool) -> dict[str, Any]:
    told: dict[str, Any] = storable_json(part.model_dump(exclude_unset=True))
    return told
