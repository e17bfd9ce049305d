"""Activities that run the tools which a step asked for."""

import json
import time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.built_in_tools import BUILT_IN_TOOLS
from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.loops import after_call
from o.domain.messages import ToolCall, ToolReturn, return_message_id
from o.domain.runs import Run
from o.domain.text import storable
from o.errors import NotFound, ToolFailed
from o.storage.agents import get_agent
from o.storage.closing import commit_return
from o.storage.database import Database
from o.storage.messages import get_message
from o.storage.runs import get_run
from o.storage.steps import get_step_reply
from workflows.contract import CallOutcome, CallRef

_CLOSED = CallOutcome("closed", done=True)


class ToolActivities:
    """Runs one tool call and commits its return."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="run_tool")
    async def run_tool(self, call: CallRef) -> CallOutcome:
        """Run call `call.ordinal` of a committed step.

        Safe to retry: effect and return are one transaction under the run's lock, and a call
        that has returned is not run again. What goes wrong inside a tool is its return.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.begin() as connection:
                run = await get_run(connection, call.run_id, lock=True)
                if run is None or not run.status.is_open:
                    return _CLOSED
                return await _run_once(connection, run, call)


async def _run_once(connection: AsyncConnection, run: Run, call: CallRef) -> CallOutcome:
    reply = await get_step_reply(connection, call.asked_in or run.id, call.step_index)
    if reply is None or reply.step_id is None:
        raise NotFound(f"Step {call.step_index} of run {run.id} has no reply")
    message_id = return_message_id(reply.step_id, call.ordinal)
    stored = await get_message(connection, message_id)
    if stored is not None and stored.tool_return is not None:
        return CallOutcome(stored.tool_return.status)
    try:
        agent = await get_agent(
            connection, Actor(organization_id=run.organization_id), run.agent_id
        )
    except NotFound:
        return _CLOSED
    agent = agent.model_copy(update={"conversation_id": run.conversation_id})
    began_ns = time.monotonic_ns()
    returned = await _call(connection, agent, reply.tool_calls[call.ordinal])
    took = {"duration_ns": time.monotonic_ns() - began_ns}
    returned = returned.model_copy(update=took)
    then = after_call(
        agent,
        reply.tool_calls,
        call.ordinal,
        failed=returned.status == "error",
        is_last_step=not call.asked_in and call.step_index + 1 >= run.options.max_steps,
    )
    await commit_return(
        connection, run, reply.step_id, call.ordinal, returned, then=then, timezone=agent.timezone
    )
    activity.logger.info("tool returned", extra={"tool": call.name, "status": returned.status})
    return CallOutcome(returned.status, done=then.stop is not None)


async def _call(connection: AsyncConnection, agent: Agent, call: ToolCall) -> ToolReturn:
    try:
        content = await _content(connection, agent, call)
    except ToolFailed as error:
        return ToolReturn(
            tool_call_id=call.id, name=call.name, status="error", content=error.message
        )
    return ToolReturn(
        tool_call_id=call.id, name=call.name, status="success", content=storable(content)
    )


async def _content(connection: AsyncConnection, agent: Agent, call: ToolCall) -> str:
    tool = BUILT_IN_TOOLS.get(call.name)
    if tool is None or call.name not in agent.tool_names:
        valid = ", ".join(agent.tool_names)
        raise ToolFailed(
            f"[ToolConstraintError] Cannot call {call.name}, valid tools include: [{valid}]."
        )
    return await tool(connection, agent, _arguments(call))


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        raise ToolFailed("The arguments are not valid JSON. Nothing was done.") from None
    if not isinstance(arguments, dict):
        raise ToolFailed("The arguments are not a JSON object. Nothing was done.")
    return arguments
