"""Attempts at a step in a run's log: which reply counts when one was begun anew."""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.messages import Role
from o.domain.runs import EventKind, RunEvent


@dataclass(frozen=True)
class Entry:
    """An event, and what it says about attempts.

    Attributes:
        is_late: A piece of an attempt that another one has taken the place of.
        void_id: The reply that this event puts an end to: its step begins anew here.
    """

    event: RunEvent
    is_late: bool = False
    void_id: str | None = None


class Attempts:
    """Knows of each step whose reply it is that is being shown. Events are fed in order."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, str]] = {}

    def of(self, events: Sequence[RunEvent]) -> list[Entry]:
        """Each event with what it says about attempts."""
        return [self._of(event) for event in events]

    def _of(self, event: RunEvent) -> Entry:
        step_id, message_id = _reply_of(event)
        if step_id is None or message_id is None:
            return Entry(event)
        attempt, before = self._newest.get(step_id, (0, message_id))
        if event.kind is EventKind.DELTA and event.attempt < attempt:
            return Entry(event, is_late=True)
        self._newest[step_id] = (event.attempt, message_id)
        return Entry(event, void_id=None if before == message_id else before)


def _reply_of(event: RunEvent) -> tuple[str | None, str | None]:
    """The step and the message whose reply an event shows, whole or in part."""
    body = event.body
    if event.kind is EventKind.DELTA:
        return body.get("step_id"), body.get("message_id")
    if event.kind is EventKind.MESSAGE and body.get("role") == Role.ASSISTANT:
        return body.get("step_id"), body.get("id")
    return None, None
