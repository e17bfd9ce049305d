"""Tool calls as the workflow sees them."""

from collections.abc import Sequence

from o.domain.messages import ToolCall
from workflows.contract import CallRef

_SHOWN_NAME_CHARS = 64


def call_refs(run_id: str, step_index: int, calls: Sequence[ToolCall]) -> list[CallRef]:
    """The calls of a step by their ordinals; names are for the reader of the history."""
    return [
        CallRef(run_id, step_index, n, call.name[:_SHOWN_NAME_CHARS])
        for n, call in enumerate(calls)
    ]
