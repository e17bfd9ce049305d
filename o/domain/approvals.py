"""Approval requests: which calls wait for an answer, what was answered, and what follows.

A request is about the calls that a person was shown: their names and arguments are fixed by a
digest when it is made, and are compared again before any of them is carried out.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from o.domain.messages import (
    ApprovalResponse,
    Decision,
    Message,
    Role,
    ToolCall,
    ToolReturn,
)
from o.domain.runs import Run
from o.errors import Conflict, InvalidArgument

NOTHING_WAITS = "No tool call is currently awaiting approval"


class ApprovalStatus(StrEnum):
    """Pending, then one of the others."""

    PENDING = "pending"
    DECIDED = "decided"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Approval(BaseModel):
    """An approval request.

    Attributes:
        id: The id of the message that asks.
        run_id: The run that it ended.
        step_index: The step of that run whose reply holds the calls.
        calls: The ids of the calls that wait, in order.
        digest: Of the calls as they were shown.
        decisions: What was answered so far, one for each call at most.
        answer_run_id: The run that carries on with the answer.
        decided_by: The user who answered, `temporal` for Temporal's own clients, or `expiry`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    agent_id: str
    conversation_id: str
    run_id: str
    step_id: str
    step_index: int
    calls: list[str]
    digest: str
    status: ApprovalStatus = ApprovalStatus.PENDING
    decisions: list[Decision] = []
    answer_run_id: str | None = None
    decided_by: str | None = None
    created_at: datetime
    expires_at: datetime | None = None

    @property
    def undecided(self) -> list[str]:
        """The calls that nothing was said to yet."""
        decided = {decision.tool_call_id for decision in self.decisions}
        return [call for call in self.calls if call not in decided]


def digest_of(calls: Sequence[ToolCall]) -> str:
    """What binds an approval to the calls that were shown."""
    shown = [[call.id, call.name, call.arguments] for call in calls]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def is_about(approval: Approval, given: Sequence[Decision]) -> bool:
    """Whether all that was answered is about this request."""
    known = {*approval.calls, approval.id}
    return all(
        decision.tool_call_id in known and decision.request_id in (None, approval.id)
        for decision in given
    )


def find_answered(found: Sequence[Approval], given: Sequence[Decision]) -> Approval:
    """The request that an answer is about, or whose calls its sender has to be shown.

    Args:
        found: The newest requests of a conversation.
        given: What was answered.

    Raises:
        InvalidArgument: Nothing waits.
        Conflict: Older releases stored calls under the ids that models gave, which may repeat:
            the answer fits several requests, and may be to one that was not seen.
    """
    fitting = [one for one in found if is_about(one, given)]
    if len(fitting) > 1:
        raise Conflict(
            "Several approval requests hold calls of these ids: say in 'approval_request_id' which "
            f"of them is answered ({', '.join(one.id for one in fitting)})"
        )
    for one in fitting:
        if one.status in (ApprovalStatus.PENDING, ApprovalStatus.DECIDED):
            return one
    for one in found:
        if one.status is ApprovalStatus.PENDING:
            return one
    reason = f": the request was {fitting[0].status.value}" if fitting else ""
    raise InvalidArgument(f"{NOTHING_WAITS}{reason}")


def decided_with(approval: Approval, given: Sequence[Decision]) -> list[Decision]:
    """All that has been answered once `given` is added, in the order of the calls.

    The same answer again changes nothing. What is said to the whole request is said to the calls
    that nothing was said to, wherever in the answer it stands.

    Raises:
        InvalidArgument: Something is about a call that does not wait in this request.
        Conflict: A call was answered otherwise before, or two calls have the id that is named.
    """
    if not is_about(approval, given):
        raise InvalidArgument(_why_not_about(approval, given))
    decided = {decision.tool_call_id: decision for decision in approval.decisions}
    for decision in sorted(given, key=lambda one: one.tool_call_id not in approval.calls):
        named = _named_calls(approval, decision)
        open_calls = [call for call in named if call not in decided]
        if not open_calls and not any(_agree(decided[call], decision) for call in named):
            raise Conflict(f"Tool call {named[0]} was answered otherwise before")
        for call in open_calls:
            decided[call] = decision.model_copy(update={"tool_call_id": call, "request_id": None})
    return [decided[call] for call in approval.calls if call in decided]


def _named_calls(approval: Approval, decision: Decision) -> list[str]:
    """The calls that a decision is about: one, or all where it names the request."""
    if decision.tool_call_id not in approval.calls:
        return approval.calls
    if approval.calls.count(decision.tool_call_id) > 1:  # as older releases stored them
        raise Conflict(
            f"Several calls of this request have the id {decision.tool_call_id}: answer all of "
            f"them, by the id of the request ({approval.id})"
        )
    return [decision.tool_call_id]


def _why_not_about(approval: Approval, given: Sequence[Decision]) -> str:
    others = [one.request_id for one in given if one.request_id not in (None, approval.id)]
    if others:
        return f"Invalid approval request ID. Expected '{approval.id}', but received '{others[0]}'."
    received = [decision.tool_call_id for decision in given]
    return f"Invalid tool call IDs. Expected '{approval.calls}', but received '{received}'."


def response_message(
    run: Run, approval: Approval, message_id: str, decisions: Sequence[Decision]
) -> Message:
    """What was said to a request, as the next message of history (its position counts from 0).

    Args:
        run: What the message belongs to: the run of the answer, or the one that asked.
        approval: What is answered.
        message_id: The same for every try to store it.
        decisions: What was said, to each call.
    """
    return Message(
        id=message_id,
        organization_id=run.organization_id,
        agent_id=run.agent_id,
        conversation_id=run.conversation_id,
        run_id=run.id,
        step_id=approval.step_id,
        position=0,
        role=Role.APPROVAL,
        approval=ApprovalResponse(
            approval_request_id=approval.id,
            decisions=list(decisions),
            decided_by=approval.decided_by,
        ),
        created_at=datetime.now(UTC),
    )


def refusal(call: ToolCall, decision: Decision) -> ToolReturn:
    """What a model reads of a call that was denied."""
    reason = f" User reason: {decision.reason}" if decision.reason else ""
    return ToolReturn(
        tool_call_id=call.id,
        name=call.name,
        status="error",
        content=f"Error: request to call tool denied.{reason}",
    )


def client_return(call: ToolCall, decision: Decision) -> ToolReturn | None:
    """What the client's own tool returned, None when the call is to be made here."""
    if decision.returned is None:
        return None
    # It was made, in a time that only the client knows.
    own = decision.returned.model_dump()
    return ToolReturn(tool_call_id=call.id, name=call.name, duration_ns=0, **own)


def _agree(one: Decision, other: Decision) -> bool:
    return (one.approve, one.returned) == (other.approve, other.returned)
