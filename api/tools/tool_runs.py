"""Runs tools outside of turns, by a worker: the API itself runs no code of others."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from api.deps import Parts
from api.wire.tool_runs import RunSourceBody
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.tools import StoredTool
from o.errors import InvalidArgument
from o.ids import new_id
from o.storage.worker_requests import RUN_TOOL
from o.tools.entry import entry_of
from o.tools.schema import derive

_START_S = 30.0
"""Beside the tool's own time: to have a sandbox."""
_INSTALL_S = 300.0
"""Beside it too, for a tool that requires packages: the first call installs them."""


async def run_by_worker(
    parts: Parts,
    actor: Actor,
    name: str,
    arguments: dict[str, Any],
    *,
    tool: StoredTool | None = None,
    agent: Agent | None = None,
    environment: dict[str, str] | None = None,
    within_s: float | None = None,
) -> dict[str, Any]:
    """What a tool returns; see `activities.tool_requests` for how it is spelled.

    Args:
        parts: Of the application. No transaction is to be open.
        actor: Who asks.
        name: Of the tool.
        arguments: By name.
        tool: None for one that comes with the server.
        agent: Whose tool it is, if any agent's.
        environment: Variables beside those that are stored.
        within_s: How long the tool may take; as long as one in a sandbox, where it is None.

    Raises:
        Unavailable: No worker has answered in time.
    """
    request = {
        "name": name,
        "arguments": arguments,
        "tool": None if tool is None else tool.model_dump(mode="json"),
        "agent_id": None if agent is None else agent.id,
        "environment": environment or {},
    }
    timeout_s = _START_S + (parts.settings.sandbox_timeout_s if within_s is None else within_s)
    if tool is not None and tool.pip_requirements:
        timeout_s += _INSTALL_S
    return await parts.workers.ask(actor.organization_id, RUN_TOOL, request, timeout_s=timeout_s)


async def tool_of_source(body: RunSourceBody, actor: Actor) -> StoredTool:
    """The tool that a client wants to try, which is not stored.

    Raises:
        InvalidArgument: The source has no function that could be called.
    """
    now = datetime.now(UTC)
    return StoredTool(
        id=new_id("tool"),
        organization_id=actor.organization_id,
        name=await _name_of(body),
        source_type=body.source_type,
        source_code=body.source_code,
        json_schema=body.json_schema or {},
        pip_requirements=[one.model_dump() for one in body.pip_requirements or ()] or None,
        created_at=now,
        updated_at=now,
    )


async def _name_of(body: RunSourceBody) -> str:
    named = body.name or (body.json_schema or {}).get("name")
    if isinstance(named, str) and named:
        return named
    if body.source_type == "python" and (name := (await entry_of(body.source_code, "")).function):
        return name
    if body.source_type == "python":
        await asyncio.to_thread(derive, body.source_code)  # it knows what is wrong
    raise InvalidArgument("INVALID_ARGUMENT: name the function that is to be run")
