"""Runs, tool calls and approval requests as the workflow sees them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.approvals import Approval
from o.domain.messages import ToolCall
from o.domain.runs import Run
from o.domain.tools import PARALLEL_TOOLS, calls_in_parallel
from o.storage.approvals import get_pending_approval
from o.storage.messages import get_message
from workflows import contract
from workflows.contract import CallRef, Turn

_SHOWN_NAME_CHARS = 64


def turn_of(run: Run, model: str = "") -> Turn:
    """A run as its conversation queues it; the model is for the reader of the history."""
    return Turn(run.id, run.options.max_steps, model, answers=run.approval_id is not None)


def call_refs(
    agent: Agent, run_id: str, step_index: int, calls: Sequence[ToolCall], *, asked_in: str = ""
) -> list[CallRef]:
    """The calls of a step by their ordinals; names are for the reader of the history.

    Calls to which the provider gave one id run in order, in which alone their returns are theirs.
    """
    at_once = calls_in_parallel(agent) and len({call.id for call in calls}) == len(calls)
    return [
        CallRef(
            run_id,
            step_index,
            n,
            call.name[:_SHOWN_NAME_CHARS],
            asked_in=asked_in,
            parallel=at_once and call.name in PARALLEL_TOOLS,
        )
        for n, call in enumerate(calls)
    ]


def waiting_for(request_id: str, calls: Sequence[ToolCall]) -> contract.Approval:
    """What a conversation waits for: ids and names, never arguments."""
    return contract.Approval(
        request_id,
        calls=[call.id for call in calls],
        tools=[call.name[:_SHOWN_NAME_CHARS] for call in calls],
    )


async def pending_request(
    connection: AsyncConnection, conversation_id: str
) -> contract.Approval | None:
    """What a conversation waits for, if anything.

    Also what a workflow is told with a run that closed long ago: it may have closed with the
    request, and its worker have died before it could say so.
    """
    pending = await get_pending_approval(connection, conversation_id)
    return await shown_request(connection, pending) if pending else None


async def shown_request(connection: AsyncConnection, approval: Approval) -> contract.Approval:
    """A pending request, less the calls that were answered already."""
    request = await get_message(connection, approval.id)
    waiting = set(approval.undecided)
    calls = [call for call in request.gated_calls if call.id in waiting] if request else []
    return waiting_for(approval.id, calls)
