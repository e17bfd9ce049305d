"""Tools as clients ask for them: what is made of a request before it is stored."""

import asyncio
import re
from datetime import datetime
from typing import Any

from api.wire.tool_requests import CreateToolBody, UpdateToolBody
from o.domain.actors import Actor
from o.domain.tools import SourceType, StoredTool
from o.errors import Conflict, InvalidArgument
from o.ids import new_id
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.schema import MAX_NAME_CHARS, derive
from sandbox.requirements import check

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}")
_FAILED = "Failed to derive json schema: "
_DERIVING = asyncio.Semaphore(1)
# What a tool that is stored anew under its name takes from the request in any case.
_ALWAYS = {
    "description",
    "source_type",
    "source_code",
    "json_schema",
    "args_json_schema",
    "problem",
}


async def new_tool(
    body: CreateToolBody, actor: Actor, now: datetime
) -> tuple[StoredTool, set[str]]:
    """The tool that a client asks for, and the columns that it says something about.

    Raises:
        InvalidArgument: No schema can be had, or it is none, or a requirement is no package.
        Conflict: The name is taken by a tool that comes with the server.
    """
    schema = await _schema(
        body.source_code, body.source_type, body.json_schema, body.args_json_schema
    )
    if body.description is not None and body.json_schema is None:
        schema |= {"description": body.description}
    columns = body.columns()
    check(columns.get("pip_requirements"))
    tool = StoredTool(
        id=new_id("tool"),
        organization_id=actor.organization_id,
        name=free_name(schema["name"]),
        description=_description(schema) if body.description is None else body.description,
        source_type=body.source_type,
        source_code=body.source_code,
        json_schema=schema,
        args_json_schema=body.args_json_schema,
        **columns,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
    return tool, _ALWAYS | set(columns)


async def tool_changes(body: UpdateToolBody, tool: StoredTool) -> dict[str, Any]:
    """Column to value, for what a client changes of a tool.

    A new source has its schema derived anew, unless the schema comes with it, or the source is not
    Python. With the schema the name may change.

    Raises:
        InvalidArgument: No schema can be had, or it is none, or a requirement is no package, or
            the tool is not the client's to write.
        Conflict: The new name is taken by a tool that comes with the server.
    """
    changes = body.columns()
    check(changes.get("pip_requirements"))
    if tool.tool_type != "custom":
        _check_may(body)
    source = tool.source_code if body.source_code is None else body.source_code
    source_type = body.source_type or tool.source_type
    for name in ("source_code", "source_type", "args_json_schema", "description"):
        if (given := getattr(body, name)) is not None:
            changes[name] = given
    is_new = body.source_code is not None or body.args_json_schema is not None
    schema = None
    if body.json_schema is not None or (is_new and source_type == "python"):
        arguments = body.args_json_schema
        if arguments is None and body.source_code is None:
            arguments = tool.args_json_schema
        schema = await _schema(source or "", source_type, body.json_schema, arguments)
        changes["description"] = body.description or _description(schema)
    if body.description is not None and body.json_schema is None:
        schema = (schema or dict(tool.json_schema)) | {"description": body.description}
    if schema is not None:
        changes["json_schema"] = schema
        name = str(schema["name"])
        if name != tool.name:
            changes["name"] = free_name(name)
    if {"source_code", "pip_requirements"} & changes.keys():
        changes["problem"] = ""
    return changes


def free_name(name: str) -> str:
    """The name, if a tool may have it.

    Raises:
        InvalidArgument: It is not one that every provider takes.
        Conflict: It is that of a tool that comes with the server.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"INVALID_ARGUMENT: {name[:100]!r} is no name of a tool: it has 1 to {MAX_NAME_CHARS} "
            "of A-Z a-z 0-9 _ -"
        )
    if name in BUILT_IN_TOOLS:
        raise Conflict(
            f"{name!r} is the name of a tool that comes with the server: choose another name"
        )
    return name


async def derived_schema(
    source: str, source_type: SourceType | None, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The schema of a function, from its source; it is not run.

    Raises:
        InvalidArgument: None can be had.
    """
    if source_type == "typescript":
        raise InvalidArgument(
            f"{_FAILED}a TypeScript tool needs its json_schema: it is not derived from the source"
        )
    # In a thread, one at a time: a source that is made for it takes a second and 100 MB.
    async with _DERIVING:
        return await asyncio.to_thread(derive, source, args_json_schema=arguments)


async def _schema(
    source: str,
    source_type: SourceType,
    given: dict[str, Any] | None,
    arguments: dict[str, Any] | None,
) -> dict[str, Any]:
    """What models are shown: as it was given, else derived."""
    if given is None:
        return await derived_schema(source, source_type, arguments)
    function = given.get("function")
    if isinstance(function, dict) and "name" not in given:  # OpenAI's form, with a `type`
        given = function
    name, parameters = given.get("name"), given.get("parameters", {})
    if not isinstance(name, str):
        raise InvalidArgument("INVALID_ARGUMENT: json_schema has no name, which is the tool's")
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise InvalidArgument(
            "INVALID_ARGUMENT: json_schema.parameters is no JSON schema of type object"
        )
    if not isinstance(parameters.get("properties", {}), dict):
        raise InvalidArgument("INVALID_ARGUMENT: json_schema.parameters.properties is no object")
    if not isinstance(given.get("description") or "", str):
        raise InvalidArgument("INVALID_ARGUMENT: json_schema.description is no text")
    return {**given, "parameters": {"type": "object", "properties": {}, **parameters}}


def _description(schema: dict[str, Any]) -> str:
    return str(schema.get("description") or "")


def _check_may(body: UpdateToolBody) -> None:
    given = body.model_fields_set & {"source_code", "json_schema", "args_json_schema"}
    if any(getattr(body, name) is not None for name in given):
        raise InvalidArgument(
            "INVALID_ARGUMENT: source and schema of a tool of an MCP server are the server's"
        )
