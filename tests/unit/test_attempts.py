"""A stream in which a step is begun anew: what is void, and what clients make of it."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from api.answers.chunks import ChunkRenderer
from o.domain.messages import Message, Role, TextPart, ToolCall
from o.domain.runs import EventKind, Run, RunClosed, RunEvent, StopReason, Usage
from o.ids import derived_id
from tests.unit.test_message_wire import RUN
from tests.unit.test_pings import NOW

FIRST, SECOND = (derived_id("message", attempt) for attempt in ("first", "second"))
STEP = derived_id("step", 0)
TOKENS = RUN.model_copy(update={"options": RUN.options.model_copy(update={"stream_tokens": True})})


class Log:
    """A run's log while it is written."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def add(self, kind: EventKind, body: dict[str, Any], attempt: int) -> None:
        seq = len(self.events) + 1
        event = RunEvent(run_id="run-1", seq=seq, attempt=attempt, kind=kind, body=body)
        self.events.append(event)

    def piece(self, attempt: int, text: str, **more: Any) -> None:
        ids = {"message_id": (FIRST, SECOND)[attempt - 1], "step_id": STEP}
        self.add(EventKind.DELTA, {"kind": "text", "text": text} | more | ids, attempt)

    def call(self, attempt: int, text: str, **more: Any) -> None:
        self.piece(attempt, text, kind="tool_call", **more)

    def commit(self, attempt: int, text: str, *calls: ToolCall) -> None:
        message = Message(
            id=(FIRST, SECOND)[attempt - 1],
            organization_id="org-1",
            agent_id="agent-1",
            conversation_id="conv-1",
            step_id=STEP,
            run_id="run-1",
            position=1,
            role=Role.ASSISTANT,
            parts=[TextPart(text=text)] if text else [],
            tool_calls=list(calls),
            created_at=NOW,
        )
        self.add(EventKind.MESSAGE, message.model_dump(mode="json"), attempt)

    def close(self) -> None:
        closed = RunClosed(stop_reason=StopReason.END_TURN, usage=Usage())
        self.add(EventKind.CLOSED, closed.model_dump(mode="json"), 1)


def shown(events: Sequence[RunEvent], *, at_once: bool = False, run: Run = TOKENS) -> list[Any]:
    """The messages of the stream, for one who follows, or who reads the whole log at once."""
    renderer = ChunkRenderer(run)
    batches = [list(events)] if at_once else [[event] for event in events]
    chunks = [chunk for batch in batches for chunk in renderer.show(batch)]
    return [json.loads(chunk.frame[6:]) for chunk in chunks if chunk.is_numbered]


def joined(messages: Sequence[Any]) -> dict[str, str]:
    """Text by message id, as V1's documentation has clients join it."""
    texts: defaultdict[str, str] = defaultdict(str)
    for message in messages:
        if message["message_type"] == "assistant_message":
            texts[message["id"]] += message["content"]
    return dict(texts)


def voided(messages: Sequence[Any]) -> list[str]:
    return [
        one["event_data"]["message_id"]
        for one in messages
        if (one["message_type"], one.get("event_type")) == ("event_message", "retry")
    ]


def broken_off() -> Log:
    log = Log()
    log.piece(1, "Half an ")
    log.piece(1, "answ")
    log.piece(2, "The whole ")
    log.piece(2, "answer.")
    log.commit(2, "The whole answer.")
    log.close()
    return log


def test_a_follower_learns_which_message_is_void_before_the_new_one_begins() -> None:
    messages = shown(broken_off().events)
    assert joined(messages) == {FIRST: "Half an answ", SECOND: "The whole answer."}
    assert voided(messages) == [FIRST]
    kinds = [message["message_type"] for message in messages]
    assert kinds == ["assistant_message"] * 2 + ["event_message"] + ["assistant_message"] * 2
    assert [message["seq_id"] for message in messages] == [1, 2, 3, 4, 5]
    assert messages[2]["event_data"]["attempt"] == 2


def test_one_who_comes_later_never_sees_what_is_void_and_finds_the_same_numbers() -> None:
    late = shown(broken_off().events, at_once=True)
    assert joined(late) == {SECOND: "The whole answer."}
    live = shown(broken_off().events)
    assert late == live[2:]


def test_a_call_that_was_shown_is_closed_by_a_return() -> None:
    log = Log()
    log.call(1, "", tool_call_id="call-a", name="note", call=0)
    log.call(1, '{"line": "ha', call=0)
    log.call(1, "", tool_call_id="call-b", name="wipe", call=1, gate="approval")
    log.call(2, "", tool_call_id="call-c", name="note", call=0)
    log.call(2, '{"line": "x"}', call=0)
    log.commit(2, "", ToolCall(id="call-c", name="note", arguments='{"line": "x"}'))
    messages = shown(log.events)
    returns = [one for one in messages if one["message_type"] == "tool_return_message"]
    assert [(one["tool_call_id"], one["status"]) for one in returns] == [
        ("call-a", "error"),
        ("call-b", "error"),
    ]
    assert len({one["id"] for one in returns}) == 2
    assert voided(messages) == [FIRST]
    arguments: defaultdict[str, str] = defaultdict(str)
    for one in messages:
        if one["message_type"] == "tool_call_message":
            arguments[one["tool_call"]["tool_call_id"]] += one["tool_call"].get("arguments", "")
    assert dict(arguments) == {"call-a": '{"line": "ha', "call-c": '{"line": "x"}'}


def test_a_call_with_the_same_id_in_both_attempts_is_shown_anew() -> None:
    log = Log()
    log.call(1, "", tool_call_id="call-a", name="note")
    log.call(1, '{"li')
    log.commit(2, "", ToolCall(id="call-a", name="note", arguments="{}"))
    last = shown(log.events)[-1]
    assert last["tool_calls"] == [{"tool_call_id": "call-a", "name": "note", "arguments": "{}"}]


def test_an_attempt_without_pieces_makes_the_one_before_it_void() -> None:
    log = Log()
    log.piece(1, "Half")
    log.commit(2, "Whole.")
    messages = shown(log.events)
    assert voided(messages) == [FIRST]
    assert joined(messages) == {FIRST: "Half", SECOND: "Whole."}


def test_pieces_of_a_worker_that_was_taken_for_dead_are_left_out() -> None:
    log = Log()
    log.piece(1, "Half")
    log.piece(2, "Whole")
    log.piece(1, " an answer")
    log.piece(2, ".")
    log.commit(2, "Whole.")
    for at_once in (False, True):
        messages = shown(log.events, at_once=at_once)
        assert voided(messages) == [FIRST]
        assert joined(messages)[SECOND] == "Whole."
    assert joined(shown(log.events))[FIRST] == "Half"


def test_nothing_is_void_where_nothing_was_shown() -> None:
    plain = TOKENS.model_copy(update={"options": RUN.options})
    assert voided(shown(broken_off().events, run=plain)) == []
    log = Log()
    log.piece(2, "Whole.")
    log.commit(2, "Whole.")
    assert voided(shown(log.events)) == []


def test_the_notice_comes_whatever_types_of_messages_were_asked_for() -> None:
    config = RUN.options.request_config.model_copy(
        update={"include_return_message_types": ["assistant_message"]}
    )
    options = TOKENS.options.model_copy(update={"request_config": config})
    log = broken_off()
    assert voided(shown(log.events, run=TOKENS.model_copy(update={"options": options}))) == [FIRST]


def test_an_event_of_a_kind_that_is_not_known_is_passed_over() -> None:
    log = broken_off()
    known = shown(log.events)
    body = {"anything": 1}
    row = {"run_id": "run-1", "seq": 1, "attempt": 1, "kind": "of-a-newer-release", "body": body}
    strange = RunEvent.model_validate(row)
    assert strange.kind is EventKind.UNKNOWN
    assert shown([strange, *log.events]) == known
