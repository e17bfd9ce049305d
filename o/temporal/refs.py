"""Runs, tool calls and approval requests as references that travel through Temporal."""

from collections.abc import Sequence

from o.domain.agents import Agent
from o.domain.messages import ToolCall
from o.domain.runs import Run
from o.domain.tools import StoredTool
from o.tools.model_request import calls_in_parallel
from o.tools.registry import only_reads
from workflows import contract
from workflows.contract import CallRef, Turn

_SHOWN_NAME_CHARS = 64


def turn_of(run: Run, model: str = "") -> Turn:
    """A run as its conversation queues it; the model is for the reader of the history."""
    return Turn(run.id, run.options.max_steps, model, answers=run.approval_id is not None)


def call_refs(
    agent: Agent,
    run_id: str,
    step_index: int,
    calls: Sequence[ToolCall],
    *,
    stored: Sequence[StoredTool] = (),
    asked_in: str = "",
) -> list[CallRef]:
    """The calls of a step by their ordinals; names are for the reader of the history.

    Args:
        agent: Whose calls.
        run_id: The run that makes them.
        step_index: Of the step.
        calls: What it asks for.
        stored: Those of the agent's tools that are rows, as far as their calls may be parallel.
        asked_in: The run of the step, where that is another one.
    """
    at_once = calls_in_parallel(agent)
    beside = {tool.name for tool in stored if tool.enable_parallel_execution}
    return [
        CallRef(
            run_id,
            step_index,
            n,
            call.name[:_SHOWN_NAME_CHARS],
            asked_in=asked_in,
            parallel=at_once and (only_reads(call.name) or call.name in beside),
        )
        for n, call in enumerate(calls)
    ]


def waiting_for(request_id: str, calls: Sequence[ToolCall]) -> contract.PendingApproval:
    """What a conversation waits for: ids and names, never arguments."""
    return contract.PendingApproval(
        request_id,
        calls=[call.id for call in calls],
        tools=[call.name[:_SHOWN_NAME_CHARS] for call in calls],
    )
