"""V1's messages as a history of ours, in which every call has its return.

The rows may be those of a database or of an agent file, of any release. What was said stays in its
order; what a model could not be shown (a call without a return, a request that was stored twice) is
mended, and told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from o.domain.approvals import refusal
from o.domain.messages import ApprovalResponse, Decision, Message, Role, ToolCall, ToolReturn
from o.ids import derived_id, is_id
from o.letta.drafts import (
    Draft,
    Home,
    created_at,
    decisions_of,
    extras_of,
    is_named,
    plain_values,
    reply_of,
    role_of,
    spoken_parts,
)
from o.letta.notes import Notes
from o.letta.returns import Returned, returns_of
from o.letta.values import as_text, text_of

INTERRUPTED = "A tool call without a return has got one that says so"
MOVED_RETURN = "The return of a tool was put behind its call, where other messages stood between"
ORPHAN_RETURN = "A return without a call is kept; models are not shown it"
TWIN = "An approval request that was stored a second time is left out"
MERGED = "A reply that was stored as two messages, calls that wait and calls that do not, is one"
MOVED_REQUEST = "What waits for approval was put at the end, behind messages that were newer"
REPEATED_ID = "A message with the id of an earlier one has got another"
NO_REQUEST = "An answer to an approval request that is not there is kept"

_LOST = "The tool call was interrupted before it returned."
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_SPEAKS = (Role.SYSTEM, Role.USER, Role.ASSISTANT)


@dataclass(frozen=True)
class History:
    """Messages in their order, with positions from 0.

    Attributes:
        sources: Of each message V1's id of its row, in the same order; empty where it has none. Of
            a return that was made it is the row of the call.
        ids: V1's id of each row to the id of the message that has what it says: of parallel
            returns the first.
        pending: The message that waits for approval: the last one; None where nothing waits. It
            has a run and a step of its own, which the caller stores (`o.storage.pending_requests`).
    """

    messages: list[Message]
    sources: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    pending: Message | None = None


def map_messages(
    rows: Sequence[Mapping[str, Any]],
    home: Home,
    notes: Notes,
    *,
    keep_ids: bool = True,
    waiting: str | None = None,
    where: str = "messages",
) -> History:
    """The history that V1's rows tell, oldest first.

    The same rows give the same ids each time. Of a row that becomes several messages, the first
    has its id. A request for approval has that of its own row, also where it is one message with
    the calls of the row ahead of it.

    Args:
        rows: In V1's order (`sequence_id`), or that of the file.
        home: Whose they are.
        notes: Takes what was mended, and what could not be kept as it was.
        keep_ids: Whether messages keep V1's ids; else each gets one that follows from the
            conversation and its place.
        waiting: The id of the row that waits for approval, if one does: the last of the context,
            of role approval, with calls.
        where: What the rows are called in notes.
    """
    mapper = _Mapper(home, notes, keep_ids=keep_ids, waiting=waiting)
    for place, row in enumerate(rows):
        mapper.add(row, place, f"{where}[{place}]")
    return mapper.history()


class _Mapper:
    def __init__(self, home: Home, notes: Notes, *, keep_ids: bool, waiting: str | None) -> None:
        self._home = home
        self._notes = notes
        self._keep_ids = keep_ids
        self._waiting_id = waiting
        self._waiting: Draft | None = None
        self._drafts: list[Draft] = []
        self._called: dict[str, Draft] = {}  # by call, the newest that asks for it
        self._request: Draft | None = None  # the newest approval request
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()
        self._time = _EARLIEST

    def add(self, row: Mapping[str, Any], place: int, where: str) -> None:
        """Take the next row."""
        self._time = created_at(row, self._time, self._notes, where)
        role = role_of(row, self._notes, where)
        if role is Role.TOOL:
            self._add_returns(row, place, where)
        elif role is Role.APPROVAL and not row.get("tool_calls"):
            self._add_answer(row, place, where)
        elif role in (Role.APPROVAL, Role.ASSISTANT):
            self._add_reply(row, role, place, where)
        else:
            draft = self._draft(row, role, place, where)
            draft.parts = spoken_parts(row, self._notes, where)
            self._drafts.append(draft)

    def history(self) -> History:
        """What was taken, whole."""
        self._put_waiting_last()
        drafts = self._paired()
        done = [self._message(draft, position) for position, draft in enumerate(drafts)]
        pending = done[-1] if self._waiting is not None else None
        sources = [as_text(draft.source.get("id")) for draft in drafts]
        return History(done, sources, self._ids, pending)

    def _draft(self, row: Mapping[str, Any], role: Role, place: int, where: str) -> Draft:
        return Draft(self._new_id(row, place, where), role, self._time, where, row)

    def _new_id(self, row: Mapping[str, Any], place: int, where: str) -> str:
        given = as_text(row.get("id"))
        made = derived_id("message", self._home.conversation_id, "imported", place)
        wanted = given if self._keep_ids and is_id(given, "message") else made
        if wanted in self._used:
            self._notes.tell(REPEATED_ID, where)
            wanted = made
        self._used.add(wanted)
        if given:
            self._ids.setdefault(given, wanted)
        return wanted

    def _add_reply(self, row: Mapping[str, Any], role: Role, place: int, where: str) -> None:
        parts, calls = reply_of(row, self._home, self._notes, where)
        given = text_of(row.get("id"))
        is_waiting = given is not None and given == self._waiting_id and bool(calls)
        is_request = role is Role.APPROVAL
        if is_request and not is_waiting and self._is_twin(calls):
            self._notes.tell(TWIN, where)
            if given:
                self._ids[given] = self._called[calls[0].id].id
            return
        draft = self._draft(row, Role.ASSISTANT, place, where)
        draft.parts = parts
        if is_request:
            gate = self._gate_of
            calls = [call.model_copy(update={"gate": gate(call)}) for call in calls]
            draft.is_request = True
            parts, calls = self._merged(draft, parts, calls)
            draft.parts = parts
            self._request = draft
        draft.tool_calls = calls
        draft.unreturned = {call.id: call for call in calls}
        self._called |= {call.id: draft for call in calls}
        if is_waiting:
            self._waiting = draft
        self._drafts.append(draft)

    def _gate_of(self, call: ToolCall) -> str:
        tools = self._home.tool_names
        return "approval" if tools is None or call.name in tools else "client"

    def _is_twin(self, calls: Sequence[ToolCall]) -> bool:
        """Whether a request asks once more for what an earlier one asks for, unreturned."""
        asked = [self._called.get(call.id) for call in calls]
        return bool(asked) and all(
            one is not None and one.is_request and call.id in one.unreturned
            for one, call in zip(asked, calls, strict=True)
        )

    def _merged(self, draft: Draft, parts: list[Any], calls: list[ToolCall]) -> tuple[Any, Any]:
        """A request with the calls of the same reply that wait for nothing.

        V1 stores these just ahead of it, not yet made.
        """
        before = self._drafts[-1] if self._drafts else None
        if before is None or not before.tool_calls or before.is_request:
            return parts, calls
        if len(before.unreturned) < len(before.tool_calls) or not _same_step(before, draft):
            return parts, calls
        self._notes.tell(MERGED, draft.where)
        self._drafts.pop()
        self._ids[as_text(before.source.get("id"))] = draft.id
        more = [part for part in parts if part not in before.parts]
        return [*before.parts, *more], [*before.tool_calls, *calls]

    def _add_answer(self, row: Mapping[str, Any], place: int, where: str) -> None:
        draft = self._draft(row, Role.APPROVAL, place, where)
        decisions = decisions_of(row, self._notes, where)
        request = self._request
        if request is None:
            self._notes.tell(NO_REQUEST, where)
        else:
            decisions = _spread(request, decisions)
            request.answers |= {one.tool_call_id: one for one in decisions}
        draft.approval = ApprovalResponse(
            approval_request_id=request.id if request else as_text(row.get("approval_request_id")),
            decisions=decisions,
            decided_by=text_of(row.get("_created_by_id")),
        )
        self._drafts.append(draft)

    def _add_returns(self, row: Mapping[str, Any], place: int, where: str) -> None:
        """One message for each return; the first has the row's id."""
        first = self._new_id(row, place, where)
        for number, returned in enumerate(returns_of(row, self._notes, where)):
            id_ = derived_id("message", first, "return", number) if number else first
            draft = Draft(id_, Role.TOOL, returned.created_at or self._time, where, row)
            call, caller = self._call_of(returned)
            name = call.name if call else (text_of(row.get("name")) or "unknown")
            draft.tool_return = ToolReturn(
                tool_call_id=call.id if call else (returned.call_id or ""),
                name=name,
                status=returned.status,
                content=returned.content,
                stdout=returned.stdout,
                stderr=returned.stderr,
            )
            self._place_return(draft, caller, where)

    def _call_of(self, returned: Returned) -> tuple[ToolCall | None, Draft | None]:
        """The call that a return is of; one that names none is of the oldest that is open."""
        if returned.call_id is None:
            last = next((one for one in reversed(self._drafts) if one.tool_calls), None)
            if last is None or not last.unreturned:
                return None, None
            return last.unreturned.pop(next(iter(last.unreturned))), last
        caller = self._called.get(returned.call_id)
        open_calls = caller.unreturned if caller else {}
        named = next((one for one in open_calls if is_named(one, returned.call_id)), None)
        return (open_calls.pop(named), caller) if named is not None else (None, None)

    def _place_return(self, draft: Draft, caller: Draft | None, where: str) -> None:
        if caller is None:
            self._notes.tell(ORPHAN_RETURN, where)
            self._drafts.append(draft)
            return
        at = len(self._drafts)
        while at and self._drafts[at - 1] is not caller and not _speaks(self._drafts[at - 1]):
            at -= 1
        if self._drafts[at - 1] is caller:  # nothing was said since the call
            self._drafts.append(draft)
            return
        self._notes.tell(MOVED_RETURN, where)
        at = self._drafts.index(caller) + 1
        while not _speaks(self._drafts[at]):
            at += 1
        self._drafts.insert(at, draft)

    def _put_waiting_last(self) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        if len(waiting.unreturned) < len(waiting.tool_calls):  # it does not wait: it has returned
            self._waiting = None
        elif self._drafts[-1] is not waiting:
            self._notes.tell(MOVED_REQUEST, waiting.where)
            self._drafts.remove(waiting)
            self._drafts.append(waiting)

    def _paired(self) -> list[Draft]:
        """The drafts, with a return for every call that has none and does not wait for one."""
        whole: list[Draft] = []
        owed: list[Draft] = []
        for draft in self._drafts:
            if _speaks(draft):
                whole += owed
                owed = []
            whole.append(draft)
            if draft.unreturned and draft is not self._waiting:
                owed = [self._made_return(draft, call) for call in draft.unreturned.values()]
        return whole + owed

    def _made_return(self, caller: Draft, call: ToolCall) -> Draft:
        id_ = derived_id("message", caller.id, "mended", caller.tool_calls.index(call))
        source = {"id": caller.source.get("id"), "name": call.name}
        draft = Draft(id_, Role.TOOL, caller.created_at, caller.where, source)
        draft.tool_return = _said_by_answer(call, caller.answers.get(call.id))
        if draft.tool_return is None:
            self._notes.tell(INTERRUPTED, caller.where)
            draft.tool_return = ToolReturn(
                tool_call_id=call.id,
                name=call.name,
                status="error",
                content=_LOST,
                may_have_run=True,
            )
        return draft

    def _message(self, draft: Draft, position: int) -> Message:
        is_waiting = draft is self._waiting
        run_id, step_id = (text_of(draft.source.get(name)) for name in ("run_id", "step_id"))
        if is_waiting:  # V1's own need not be here, or may end otherwise
            run_id, step_id = derived_id("run", draft.id), derived_id("step", draft.id)
        is_reply = draft.role is Role.ASSISTANT
        return Message(
            id=draft.id,
            organization_id=self._home.organization_id,
            agent_id=self._home.agent_id,
            conversation_id=self._home.conversation_id,
            run_id=run_id,
            step_id=step_id,
            position=position,
            role=draft.role,
            parts=draft.parts,
            tool_calls=_gates_of_answers(draft),
            tool_return=draft.tool_return,
            approval=draft.approval,
            **plain_values(draft.source),
            extras=extras_of(draft.source, draft.parts, self._home) if is_reply else None,
            created_at=draft.created_at,
        )


def _speaks(draft: Draft) -> bool:
    """Whether no return may follow any more to what was called before it."""
    return draft.role in _SPEAKS


def _same_step(one: Draft, other: Draft) -> bool:
    first, second = (text_of(draft.source.get("step_id")) for draft in (one, other))
    return first is None or second is None or first == second


def _spread(request: Draft, decisions: Sequence[Decision]) -> list[Decision]:
    """What was said to the whole request, as said to each of its calls."""
    gated = [call.id for call in request.tool_calls if call.gate is not None]
    spread: list[Decision] = []
    for one in decisions:
        about = [one.tool_call_id]
        if one.tool_call_id not in gated and not _is_call(request, one.tool_call_id):
            about = gated
        spread += [one.model_copy(update={"tool_call_id": call_id}) for call_id in about]
    return spread


def _is_call(request: Draft, call_id: str) -> bool:
    return any(call.id == call_id for call in request.tool_calls)


def _said_by_answer(call: ToolCall, decision: Decision | None) -> ToolReturn | None:
    """What came of a call that a person denied, or that its client made."""
    if decision is None:
        return None
    if decision.returned is not None:
        own = decision.returned.model_dump()
        return ToolReturn(tool_call_id=call.id, name=call.name, **own)
    return None if decision.approve else refusal(call, decision)


def _gates_of_answers(draft: Draft) -> list[ToolCall]:
    """The calls; those that a client has answered with a return waited for a client."""
    return [
        call.model_copy(update={"gate": "client"})
        if call.gate and (said := draft.answers.get(call.id)) and said.returned
        else call
        for call in draft.tool_calls
    ]
