"""V1's messages become a history in which every call has its return."""

from typing import Any

import pytest

from o.domain.messages import ImagePart, ReasoningPart, Role, TextPart
from o.letta import messages as mapping
from o.letta.drafts import Home
from o.letta.messages import History, map_messages
from o.letta.notes import Notes
from tests.letta.rows import HOME, call, message_id, returned, row


def mapped(*rows: dict[str, Any], **more: Any) -> tuple[History, Notes]:
    notes = Notes()
    return map_messages(rows, more.pop("home", HOME), notes, **more), notes


def test_a_plain_turn_keeps_its_ids_and_order() -> None:
    history, notes = mapped(
        row(0, "system", "Be kind."),
        row(1, "user", "Roll."),
        row(2, "assistant", tool_calls=[call("c1")]),
        row(3, "tool", name="roll", tool_call_id="c1", tool_returns=[returned("c1")]),
        row(4, "assistant", "Six."),
    )
    assert [one.id for one in history.messages] == [message_id(n) for n in range(5)]
    assert [one.position for one in history.messages] == [0, 1, 2, 3, 4]
    assert history.messages[3].tool_return is not None
    assert history.messages[3].tool_return.content == "six"
    assert history.messages[3].tool_return.stdout == ["a"]
    assert notes.lines() == []


def test_parallel_returns_of_one_row_are_messages_of_their_own() -> None:
    history, _ = mapped(
        row(1, "assistant", tool_calls=[call("c1"), call("c2", "look")]),
        row(2, "tool", "first only", tool_returns=[returned("c1", "1"), returned("c2", "2")]),
    )
    returns = [one.tool_return for one in history.messages if one.tool_return]
    assert [(one.tool_call_id, one.name, one.content) for one in returns] == [
        ("c1", "roll", "1"),
        ("c2", "look", "2"),
    ]
    assert history.sources == [message_id(1), message_id(2), message_id(2)]


def test_rows_older_than_the_columns_are_read() -> None:
    history, notes = mapped(
        row(1, "user") | {"content": None, "text": "Hello"},
        row(2, "assistant", tool_calls=[call("c1")]) | {"content": None, "tool_returns": None},
        row(3, "tool") | {"content": None, "text": '{"status": "OK", "message": 3}'},
    )
    assert history.messages[0].text == "Hello"
    assert history.messages[2].tool_return is not None
    assert history.messages[2].tool_return.content == "3"
    assert notes.lines() == []


def test_a_call_without_a_return_gets_one_and_it_is_told() -> None:
    history, notes = mapped(
        row(1, "assistant", tool_calls=[call("c1"), call("c2")]),
        row(2, "tool", tool_returns=[returned("c2")]),
        row(3, "user", "Are you there?"),
    )
    assert [one.role for one in history.messages] == [
        Role.ASSISTANT,
        Role.TOOL,
        Role.TOOL,
        Role.USER,
    ]
    made = history.messages[2].tool_return
    assert made is not None
    assert (made.tool_call_id, made.status, made.may_have_run) == ("c1", "error", True)
    assert notes.count(mapping.INTERRUPTED) == 1
    assert map_messages([], HOME, Notes()).messages == []


def test_a_late_return_is_put_behind_its_call() -> None:
    history, notes = mapped(
        row(1, "assistant", tool_calls=[call("c1")]),
        row(2, "user", "Quick!"),
        row(3, "tool", tool_returns=[returned("c1")]),
    )
    assert [one.id for one in history.messages] == [message_id(n) for n in (1, 3, 2)]
    assert notes.count(mapping.MOVED_RETURN) == 1


def test_a_return_without_a_call_is_kept_and_told() -> None:
    history, notes = mapped(row(1, "user", "Hi"), row(2, "tool", tool_returns=[returned("gone")]))
    assert history.messages[1].role is Role.TOOL
    assert notes.count(mapping.ORPHAN_RETURN) == 1


def test_a_request_that_waits_is_one_message_with_the_calls_that_do_not() -> None:
    history, notes = mapped(
        row(1, "user", "Deploy."),
        row(2, "assistant", "Both.", tool_calls=[call("c1")]),
        row(3, "approval", "Both.", tool_calls=[call("c2", "deploy")], approvals=[]),
        waiting=message_id(3),
    )
    assert history.pending is not None
    assert history.pending is history.messages[-1]
    assert history.pending.id == message_id(3)
    assert [(one.id, one.gate) for one in history.pending.tool_calls] == [
        ("c1", None),
        ("c2", "approval"),
    ]
    assert history.pending.text == "Both."
    assert history.pending.run_id
    assert history.pending.step_id
    assert history.ids[message_id(2)] == message_id(3)
    assert notes.count(mapping.MERGED) == 1


def test_what_waits_stands_at_the_end_whatever_was_stored_later() -> None:
    history, notes = mapped(
        row(1, "approval", tool_calls=[call("c1")]),
        row(2, "user", "Meanwhile."),
        waiting=message_id(1),
    )
    assert [one.id for one in history.messages] == [message_id(2), message_id(1)]
    assert notes.count(mapping.MOVED_REQUEST) == 1


@pytest.mark.parametrize("older", [True, False])
def test_a_denial_gives_its_call_a_return(older: bool) -> None:
    answer: dict[str, Any] = {
        "approvals": [{"type": "approval", "tool_call_id": "c1", "approve": False}]
    }
    if older:
        answer = {"approve": False, "approval_request_id": message_id(1), "denial_reason": "no"}
    history, _ = mapped(row(1, "approval", tool_calls=[call("c1")]), row(2, "approval", **answer))
    assert [one.role for one in history.messages] == [Role.ASSISTANT, Role.APPROVAL, Role.TOOL]
    assert history.messages[1].approval is not None
    assert history.messages[1].approval.approval_request_id == message_id(1)
    assert [one.tool_call_id for one in history.messages[1].approval.decisions] == ["c1"]
    assert "denied" in history.messages[2].tool_return.content


def test_what_a_client_returned_is_the_return_of_its_call() -> None:
    told = {"type": "tool", "tool_call_id": "c1", "status": "success", "func_response": "42"}
    history, _ = mapped(
        row(1, "approval", tool_calls=[call("c1")]), row(2, "approval", approvals=[told])
    )
    assert history.messages[0].tool_calls[0].gate == "client"
    assert history.messages[2].tool_return.content == "42"


def test_a_request_that_was_stored_twice_is_there_once() -> None:
    request = [call("c1")]
    yes = {"type": "approval", "tool_call_id": "c1", "approve": True}
    history, notes = mapped(
        row(1, "approval", tool_calls=request),
        row(2, "approval", approvals=[yes]),
        row(3, "approval", tool_calls=request),
        row(4, "approval", approvals=[{**yes, "tool_call_id": message_id(3)}]),
        row(5, "tool", tool_returns=[returned("c1")]),
    )
    assert [one.role for one in history.messages] == [
        Role.ASSISTANT,
        Role.APPROVAL,
        Role.APPROVAL,
        Role.TOOL,
    ]
    assert history.messages[2].approval.decisions[0].tool_call_id == "c1"
    assert notes.count(mapping.TWIN) == 1
    assert notes.count(mapping.INTERRUPTED) == 0


def test_the_text_of_the_legacy_loop_is_a_thought() -> None:
    home = Home("org-1", "agent-1", "conv-1", "openai/gpt-4o", "memgpt_agent")
    history, _ = mapped(
        row(
            1, "assistant", "Greet.", tool_calls=[call("c1", message="Hi", request_heartbeat=True)]
        ),
        row(2, "tool", tool_returns=[returned("c1", None)]),
        row(3, "user", '{"type": "user_message", "message": "Hello", "time": "now"}'),
        row(4, "user", '{"type": "login", "time": "now"}'),
        home=home,
    )
    first = history.messages[0]
    assert first.parts == [ReasoningPart(reasoning="Greet.", source="non_reasoner_model")]
    assert first.tool_calls[0].request_heartbeat is True
    assert first.tool_calls[0].arguments == '{"message": "Hi"}'
    assert history.messages[2].text == "Hello"
    assert history.messages[3].text.startswith('{"type": "login"')


def test_summaries_are_known_whoever_said_them() -> None:
    alert = '{"type": "system_alert", "message": "Note: prior messages (3 of 9) are hidden."}'
    warning = '{"type": "system_alert", "message": "Memory is full."}'
    history, _ = mapped(row(1, "summary", alert), row(2, "user", alert), row(3, "user", warning))
    assert [one.role for one in history.messages] == [Role.SUMMARY, Role.SUMMARY, Role.USER]


def test_reasoning_and_pictures_keep_what_models_read() -> None:
    letta = {"type": "letta", "file_id": "file-1", "media_type": "image/png", "data": "iVBO"}
    content = [
        {"type": "reasoning", "is_native": True, "reasoning": "Hm.", "signature": "s1"},
        {"type": "redacted_reasoning", "data": "x"},
        {"type": "omitted_reasoning", "signature": None},
        {"type": "summarized_reasoning", "summary": [{"index": 0, "text": "Short."}]},
        {"type": "hologram", "ray": 1},
        {"type": "text", "text": "Ok"},
    ]
    history, notes = mapped(
        row(1, "user", content=[{"type": "image", "source": letta}, {"type": "image"}]),
        row(2, "assistant", content=content, model="claude-3"),
    )
    assert history.messages[0].parts == [ImagePart(source=letta), TextPart(text="[image]")]
    assert [part.type for part in history.messages[1].parts] == [
        "reasoning",
        "redacted_reasoning",
        "reasoning",
        "text",
        "text",
    ]
    assert history.messages[1].extras is not None
    assert history.messages[1].extras.model == "openai/claude-3"
    assert len(notes.lines()) == 4


def test_calls_to_which_a_model_gave_one_id_are_told_apart() -> None:
    history, notes = mapped(
        row(1, "assistant", tool_calls=[call("0"), call("0", "look")]),
        row(2, "tool", tool_returns=[returned("0", "1"), returned("0", "2")]),
        row(3, "assistant", tool_calls=[call("0")]),
        row(4, "tool", tool_call_id="0", content="plain"),
    )
    returns = [one.tool_return for one in history.messages if one.tool_return]
    assert [one.content for one in returns] == ["1", "2", "plain"]
    assert len({call.id for call in history.messages[0].tool_calls}) == 2
    assert notes.lines() == []


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"role": 3},
        {"role": "user", "content": {"a": 1}, "created_at": "yesterday"},
        {"role": "user", "content": ["a", None, 3, []], "name": {"x": 1}},
        {"role": "user", "content": [{"type": ["text"]}, {"text": 1}, {"type": "text"}]},
        {"role": "user", "content": "\x00\ud800", "otid": "\x00"},
        {"role": "assistant", "tool_calls": "roll()"},
        {"role": "assistant", "tool_calls": [None, {}, {"function": None}, {"name": "a"}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {"b": 1}}}]},
        {"role": "tool", "tool_returns": [3], "content": None},
        {"role": "tool", "tool_returns": [{"stdout": 3, "stderr": "oh", "status": "?"}]},
        {"role": "tool", "content": '{"status": "OK", "message": ' + "[" * 500},
        {"role": "approval", "approvals": [{}, 3, {"type": "tool"}, {"approve": "maybe"}]},
        {"role": "approval", "approve": True},
        {"role": "user", "created_at": "9999-12-31T23:59:59-12:00"},
    ],
)
def test_a_row_of_wrong_types_is_taken_for_what_it_can_be(odd: dict[str, Any]) -> None:
    history, _ = mapped(row(0, "system", "s"), odd, row(2, "user", "after"))
    assert history.messages[0].text == "s"
    assert history.messages[-1].text == "after"
    for one in history.messages:
        one.model_dump_json()


def test_the_same_rows_give_the_same_ids_also_where_they_are_made_anew() -> None:
    rows = [row(1, "user", "a"), row(1, "user", "b"), {"role": "user", "content": "c"}]
    first, second = (map_messages(rows, HOME, Notes(), keep_ids=False) for _ in range(2))
    assert first == second
    assert len({one.id for one in first.messages}) == 3
    kept, notes = mapped(*rows)
    assert kept.messages[0].id == message_id(1)
    assert kept.ids[message_id(1)] == message_id(1)
    assert notes.count(mapping.REPEATED_ID) == 1
