"""Runs, tool calls and approval requests as references that travel through Temporal."""

from collections.abc import Sequence

from o.domain.agents import Agent
from o.domain.messages import ToolCall
from o.domain.runs import Run
from o.tools.model_request import calls_in_parallel
from o.tools.registry import only_reads
from workflows import contract
from workflows.contract import CallRef, Turn

_SHOWN_NAME_CHARS = 64


def turn_of(run: Run, model: str = "") -> Turn:
    """A run as its conversation queues it; the model is for the reader of the history."""
    return Turn(run.id, run.options.max_steps, model, answers=run.approval_id is not None)


def call_refs(
    agent: Agent, run_id: str, step_index: int, calls: Sequence[ToolCall], *, asked_in: str = ""
) -> list[CallRef]:
    """The calls of a step by their ordinals; names are for the reader of the history."""
    at_once = calls_in_parallel(agent)
    return [
        CallRef(
            run_id,
            step_index,
            n,
            call.name[:_SHOWN_NAME_CHARS],
            asked_in=asked_in,
            parallel=at_once and only_reads(call.name),
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
