"""Where a window may begin anew: which messages go, and what must stay whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from o.domain.messages import Message, Role

LEAST_SHARE = 0.4
"""A sliding window gives up so many of its messages at least, as in V1: so it lasts a while."""

_BEGINS = (Role.USER, Role.ASSISTANT, Role.SYSTEM)


@dataclass(frozen=True)
class Cut:
    """How a window is divided.

    Attributes:
        at: How many of its messages go.
        request: What the user asked of the run under way, where that goes as well: it is to be
            repeated word by word.
    """

    at: int
    request: tuple[Message, ...] = ()


def cut_window(
    window: Sequence[Message],
    tokens: Sequence[int],
    *,
    goal: int,
    keep_none: bool = False,
    run_id: str | None = None,
) -> Cut:
    """Choose where a window is cut.

    Calls stay with their returns, and calls that have none yet stay. What the user asked of the
    run under way stays as long as the model has not replied to it, and longer where what is
    behind it is within the goal.

    Args:
        window: Its messages, oldest first, without the system message and the summary.
        tokens: What each of them takes in the prompt.
        goal: Tokens that the messages which stay may take.
        keep_none: Let everything go that may (V1's modes `all`), whatever the goal.
        run_id: The run under way, None for none.

    Returns:
        A cut at 0 where nothing can go; one that misses the goal where it cannot be reached.
    """
    places = _places(window, run_id)
    if not places:
        return Cut(0)
    asked = _asked_by(window, run_id)
    if keep_none:
        return _cut(window, places[-1], asked)
    sums = [0, *accumulate(tokens)]
    small = [at for at in places if sums[-1] - sums[at] <= goal]
    early = [at for at in small if not asked or at <= asked[0]]
    least = LEAST_SHARE * len(window)
    for candidates in (early, small):
        if candidates:
            lasting = [at for at in candidates if at >= least]
            return _cut(window, lasting[0] if lasting else candidates[-1], asked)
    return _cut(window, places[-1], asked)


def _cut(window: Sequence[Message], at: int, asked: Sequence[int]) -> Cut:
    return Cut(at, tuple(window[place] for place in asked if place < at))


def _places(window: Sequence[Message], run_id: str | None) -> list[int]:
    """Where it may be cut, the earliest first; at its end only where all may go."""
    last = len(window)
    asked = _asked_by(window, run_id)
    if asked and not any(one.role is Role.ASSISTANT for one in window[asked[-1] + 1 :]):
        last = asked[0]
    inside = _inside(window)
    return [
        at
        for at in range(1, last + 1)
        if at not in inside and (at == len(window) or window[at].role in _BEGINS)
    ]


def _asked_by(window: Sequence[Message], run_id: str | None) -> list[int]:
    """The places of what the user asked of a run."""
    if run_id is None:
        return []
    return [
        place
        for place, one in enumerate(window)
        if one.run_id == run_id and one.role is Role.USER and one.step_id is None
    ]


def _inside(window: Sequence[Message]) -> set[int]:
    """Where a cut would part calls from their returns, or from returns that are still to come."""
    inside: set[int] = set()
    made: dict[str, int] = {}
    newest = None
    for place, one in enumerate(window):
        if one.role in _BEGINS:  # what was called before it will not return any more
            newest = place if one.tool_calls else None
        if one.tool_calls:
            made |= {call.id: place for call in one.tool_calls}
        if one.tool_return is not None:
            calls = made.pop(one.tool_return.tool_call_id, None)
            if calls is not None:
                inside.update(range(calls + 1, place + 1))
    if newest is not None and newest in made.values():
        inside.update(range(newest + 1, len(window) + 1))
    return inside
