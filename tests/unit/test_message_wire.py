"""How stored messages are spelled, where no provider on the OpenAI wire produces them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.answers.deltas import DeltaRelay
from api.wire.messages import MessageView, wire_messages
from o.domain.messages import (
    Message,
    ReasoningPart,
    RedactedPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.domain.runs import Run
from o.ids import new_id

MESSAGE_ID = new_id("message")
RUN = Run(
    id="run-1",
    organization_id="org-1",
    agent_id="agent-1",
    conversation_id="conv-1",
    request_key="run-1",
    body_hash="",
    input=[],
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
)


def reply(**fields: Any) -> Message:
    return Message(
        id=MESSAGE_ID,
        organization_id="org-1",
        agent_id="agent-1",
        conversation_id="conv-1",
        position=1,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        **{"role": Role.ASSISTANT, **fields},
    )


def sent(arguments: str) -> ToolCall:
    return ToolCall(id="call_0", name="send_message", arguments=arguments)


def test_encrypted_reasoning_is_a_hidden_message_and_signatures_are_kept() -> None:
    thought, hidden, said = wire_messages(
        reply(
            parts=[
                ReasoningPart(reasoning="hm", signature="signed"),
                RedactedPart(data="sealed"),
                TextPart(text="hello"),
            ]
        )
    )
    assert (thought["message_type"], thought["signature"]) == ("reasoning_message", "signed")
    assert hidden["message_type"] == "hidden_reasoning_message"
    assert (hidden["state"], hidden["hidden_reasoning"]) == ("redacted", "sealed")
    assert said["content"] == "hello"
    assert len({m["otid"] for m in (thought, hidden, said)}) == 3


@pytest.mark.parametrize(
    "arguments", ["{}", "[]", '{"message": 5}', '{"message": "a', '{"text": "a"}', ""]
)
def test_a_call_that_says_nothing_readable_is_shown_as_a_call(arguments: str) -> None:
    (shown,) = wire_messages(reply(tool_calls=[sent(arguments)]))
    assert shown["message_type"] == "tool_call_message"
    failed = ToolReturn(tool_call_id="call_0", name="send_message", status="error", content="no")
    (returned,) = wire_messages(reply(role=Role.TOOL, tool_return=failed))
    assert returned["status"] == "error"


def test_a_return_is_hidden_only_of_what_is_shown_as_said() -> None:
    done = ToolReturn(tool_call_id="call_0", name="send_message", status="success", content="ok")
    message = reply(role=Role.TOOL, tool_return=done)
    assert wire_messages(message) == []
    assert len(wire_messages(message, MessageView(use_assistant_message=False))) == 1
    assert len(wire_messages(message, MessageView(tool_name="other"))) == 1


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 5), st.booleans())
def test_pieces_and_the_whole_say_the_same(text: str, size: int, ascii_only: bool) -> None:
    arguments = json.dumps({"message": text}, ensure_ascii=ascii_only)
    relay = DeltaRelay(RUN, MessageView())
    ids = {"message_id": MESSAGE_ID, "step_id": "step-1"}
    shown = relay.show(
        {"kind": "tool_call", "tool_call_id": "call_0", "name": "send_message"} | ids
    )
    for start in range(0, len(arguments), size):
        piece = arguments[start : start + size]
        shown += relay.show({"kind": "tool_call", "text": piece} | ids)
    (whole,) = wire_messages(reply(tool_calls=[sent(arguments)]))
    assert "".join(message["content"] for message in shown) == whole["content"]
    assert {(m["id"], m["otid"]) for m in shown} <= {(whole["id"], whole["otid"])}
    assert relay.unseen([whole]) == ([] if text else [whole])


def test_every_part_has_the_same_otid_in_pieces_and_whole() -> None:
    relay = DeltaRelay(RUN, MessageView())
    ids = {"message_id": MESSAGE_ID, "step_id": "step-1"}
    deltas = [("reasoning", "a"), ("reasoning", "b"), ("redacted", "c"), ("redacted", "d")]
    shown = [
        message
        for kind, text in [*deltas, ("text", "hi")]
        for message in relay.show({"kind": kind, "text": text} | ids)
    ]
    whole = wire_messages(
        reply(
            parts=[
                ReasoningPart(reasoning="ab"),
                RedactedPart(data="c"),
                RedactedPart(data="d"),
                TextPart(text="hi"),
            ]
        )
    )
    kinds = [(m["message_type"], m["otid"]) for m in shown[1:]]
    assert kinds == [(m["message_type"], m["otid"]) for m in whole]
    assert [m["hidden_reasoning"] for m in shown[2:4]] == ["c", "d"]
    assert relay.unseen(whole) == []


@pytest.mark.parametrize("gate", [None, "approval"])
def test_of_several_calls_those_come_whole_that_no_piece_has_told(gate: Any) -> None:
    relay = DeltaRelay(RUN, MessageView())
    ids = {"message_id": MESSAGE_ID, "step_id": "step-1", "kind": "tool_call"}
    relay.show({"call": 0, "tool_call_id": "one", "name": "t", "gate": gate} | ids)
    relay.show({"call": 0, "text": "{}"} | ids)
    calls = [ToolCall(id=n, name="t", arguments="{}", gate=gate) for n in ("one", "two")]
    (left,) = relay.unseen(wire_messages(reply(tool_calls=calls)))
    assert left["tool_call"]["tool_call_id"] == "two"
    assert [one["tool_call_id"] for one in left["tool_calls"]] == ["two"]
    assert relay.unseen(wire_messages(reply(tool_calls=calls[:1]))) == []


def test_parts_that_no_piece_has_shown_come_whole() -> None:
    relay = DeltaRelay(RUN, MessageView())
    relay.show({"kind": "text", "text": "hi", "message_id": MESSAGE_ID, "step_id": "step-1"})
    whole = wire_messages(
        reply(parts=[TextPart(text="hi")], tool_calls=[sent('{"message": "bye"')])
    )
    assert [m["message_type"] for m in relay.unseen(whole)] == ["tool_call_message"]
