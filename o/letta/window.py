"""Which part of an imported history stands in the context window."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from o.domain.messages import Message, Role
from o.letta.notes import Notes

SECOND_SUMMARY = "A summary that stood in the context beside a newer one is not in it any more"


@dataclass(frozen=True)
class ImportedWindow:
    """What `Conversation` says of a window.

    Attributes:
        window_start: The position behind which it begins.
        summary_id: The summary ahead of it.
        aside: The ids of messages behind `window_start` that V1 did not have in context, such as
            those of a turn that failed: they stay in the history (`messages.is_aside`).
    """

    window_start: int = 0
    summary_id: str | None = None
    aside: frozenset[str] = frozenset()


def window_of(
    messages: Sequence[Message], in_context: Collection[str], notes: Notes, where: str = ""
) -> ImportedWindow:
    """The window that shows what V1 had in context, in the order of the history.

    It begins with the first message that V1 had in context. Returns stay with their calls.

    Args:
        messages: The history, the system message at position 0.
        in_context: The ids, ours, of what V1 had in context.
        notes: Takes what differs.
        where: Whose window, for notes.
    """
    said = [one for one in messages if one.position > 0]
    summaries = [one for one in said if one.role is Role.SUMMARY and one.id in in_context]
    if len(summaries) > 1:
        notes.tell(SECOND_SUMMARY, where)
    told = [one for one in said if one.role is not Role.SUMMARY]
    first = next((place for place, one in enumerate(told) if one.id in in_context), None)
    summary_id = summaries[-1].id if summaries else None
    if first is None:
        return ImportedWindow(said[-1].position if said else 0, summary_id)
    aside = _left_out(told[first:], in_context)
    return ImportedWindow(told[first].position - 1, summary_id, aside)


def _left_out(told: Sequence[Message], in_context: Collection[str]) -> frozenset[str]:
    """The ids of messages that are not in context. An answer and a return go with their call."""
    left: set[str] = set()
    with_call = True
    for one in told:
        if one.role in (Role.TOOL, Role.APPROVAL):
            stays = with_call or one.id in in_context
        else:
            with_call = stays = one.id in in_context
        if not stays:
            left.add(one.id)
    return frozenset(left)
