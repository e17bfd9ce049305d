"""Runs a tool that the API asks for, outside of any turn."""

from collections.abc import Mapping
from typing import Any

from activities.errors import AlreadyStarted
from activities.runners.outside_calls import MAY_HAVE_RUN, apply_edits
from activities.worker_requests import Asked
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.messages import ToolReturn
from o.domain.text import storable
from o.domain.tools import StoredTool
from o.errors import ToolFailed
from o.ids import derived_id
from o.storage.agents.agent_memory import AgentMemory
from o.storage.agents.agents import get_agent
from o.storage.database import Database
from o.tools.invocation import EditedBlock, Invocation, Returned, ToolRunner
from o.tools.registry import refusal_of


class ToolRequests:
    """Serves requests of the kind `RUN_TOOL`.

    A request is `{"name", "arguments", "tool", "agent_id", "environment"}`: `tool` is a
    `StoredTool` as JSON, or None for one that comes with the server; `agent_id` may be None. The
    answer is `{"status", "content", "stdout", "stderr", "hosts", "may_have_run"}`.
    """

    def __init__(
        self,
        database: Database,
        runners: Mapping[str, ToolRunner],
        *,
        enforce_block_limit: bool,
    ) -> None:
        self._database = database
        self._runners = runners
        self._enforces_block_limit = enforce_block_limit

    async def run(self, asked: Asked) -> dict[str, Any]:
        """Run a tool once; what goes wrong inside it is the answer."""
        call = await self._invocation(asked)
        try:
            returned = await self._returned(asked, call)
        except ToolFailed as error:
            returned = Returned("error", error.message)
        except AlreadyStarted:
            returned = Returned("error", MAY_HAVE_RUN, may_have_run=True)
        content = storable(returned.content)
        if call.agent is not None and returned.edits:
            content = await self._edited(call.name, call.agent, returned, content)
        return {
            "status": returned.status,
            "content": content,
            "stdout": [storable(text) for text in returned.stdout],
            "stderr": [storable(text) for text in returned.stderr],
            "hosts": list(returned.hosts),
            "may_have_run": returned.may_have_run,
        }

    async def _invocation(self, asked: Asked) -> Invocation:
        request = asked.request
        agent = None
        if request.get("agent_id") is not None:
            actor = Actor(organization_id=asked.organization_id)
            async with self._database.connect() as connection:
                agent = await get_agent(connection, actor, request["agent_id"])
        tool = request.get("tool")
        return Invocation(
            organization_id=asked.organization_id,
            name=request["name"],
            arguments=request["arguments"],
            idempotency_key=derived_id("call", asked.id),
            tool=None if tool is None else StoredTool.model_validate(tool),
            agent=agent,
            environment=request.get("environment") or {},
        )

    async def _returned(self, asked: Asked, call: Invocation) -> Returned:
        kind = call.tool.tool_type if call.tool else call.name
        if (runner := self._runners.get(kind)) is None:
            raise ToolFailed(refusal_of(call.name))
        before_sending = asked.starting(repeats=runner.repeats_safely(call))
        return await runner.run(call, before_sending=before_sending)

    async def _edited(self, tool: str, agent: Agent, returned: Returned, content: str) -> str:
        """Change the agent's blocks as the tool has, and say what could not be changed."""
        edits: list[EditedBlock] = list(returned.edits)
        shown = ToolReturn(tool_call_id="", name="", status=returned.status, content=content)
        async with self._database.begin() as connection:
            memory = AgentMemory(
                connection, agent, tool=tool, enforce_limit=self._enforces_block_limit
            )
            return (await apply_edits(memory, shown, edits)).content
