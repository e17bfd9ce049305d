"""Tool calls as the workflow sees them."""

from collections.abc import Sequence

from o.domain.agents import Agent
from o.domain.messages import ToolCall
from o.domain.tools import PARALLEL_TOOLS, calls_in_parallel
from workflows.contract import CallRef

_SHOWN_NAME_CHARS = 64


def call_refs(
    agent: Agent, run_id: str, step_index: int, calls: Sequence[ToolCall]
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
            parallel=at_once and call.name in PARALLEL_TOOLS,
        )
        for n, call in enumerate(calls)
    ]
