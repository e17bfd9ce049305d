"""The prompt of a model call: always paired, never empty, whatever history holds."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.agents import Agent, Conversation
from o.domain.blocks import Block
from o.domain.messages import (
    GivenId,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    return_message_id,
)
from o.memory.edits import LINE_NUMBER_BANNER
from o.memory.prompt import compile_prompt, local_time, prompt_key
from tests.support.prompts import chat_prompt
from tests.support.provider import problems_of

NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
AGENT = Agent(
    id="agent-1",
    organization_id="org-1",
    name="ada",
    system="Be kind.",
    model="openai/x",
    created_at=NOW,
    updated_at=NOW,
)
CONVERSATION = Conversation(
    id="conv-1", organization_id="org-1", agent_id="agent-1", created_at=NOW, updated_at=NOW
)


def message(role: Role, *parts: Part, **fields: object) -> Message:
    return Message.model_validate(
        {
            "id": "message-1",
            "organization_id": "org-1",
            "agent_id": "agent-1",
            "conversation_id": "conv-1",
            "position": 0,
            "created_at": NOW,
            "role": role,
            "parts": list(parts),
            **fields,
        }
    )


def block(**fields: object) -> Block:
    base = {"id": "block-1", "organization_id": "org-1", "label": "human", "value": "Ada"}
    return Block.model_validate(base | {"created_at": NOW, "updated_at": NOW} | fields)


ids = st.sampled_from(["call_1", "call_2", "same"])
texts = st.builds(lambda text: [TextPart(text=text)], st.text(max_size=5))
MODELS = ("a/x", "b/x")
given_ids = st.builds(
    GivenId, id=st.sampled_from(["t:0", "t:1", "toolu_1"]), model=st.sampled_from(MODELS)
)
calls = st.builds(
    ToolCall,
    id=ids,
    name=st.just("t"),
    arguments=st.sampled_from(["{}", "[]", "{"]),
    given=st.none() | given_ids,
)
returns = st.builds(
    ToolReturn, tool_call_id=ids, name=st.just("t"), status=st.just("success"), content=st.text()
)
histories = st.lists(
    st.one_of(
        st.builds(lambda parts: message(Role.USER, *parts), texts),
        st.builds(
            lambda parts, made: message(Role.ASSISTANT, *parts, tool_calls=made),
            texts,
            st.lists(calls, max_size=3),
        ),
        st.builds(lambda made: message(Role.TOOL, tool_return=made), returns),
    ),
    max_size=12,
)


def call_ids(prompt: list[dict[str, Any]]) -> list[list[str]]:
    """The ids of the calls of each reply that has any."""
    return [
        [call["id"] for call in entry["tool_calls"]] for entry in prompt if "tool_calls" in entry
    ]


@given(histories, st.sampled_from([*MODELS, "c/x"]))
def test_a_prompt_of_any_history_is_one_that_providers_take(
    history: list[Message], model: str
) -> None:
    prompt = chat_prompt(AGENT, history, model)
    assert problems_of(prompt) == []
    if model not in MODELS:  # which has given no id itself
        seen = [id_ for reply in call_ids(prompt) for id_ in reply]
        assert len(seen) == len(set(seen)), "ids must not repeat in a prompt"


@given(histories, st.sampled_from(MODELS))
def test_a_model_reads_its_own_ids_and_no_others(history: list[Message], model: str) -> None:
    shown = call_ids(chat_prompt(AGENT, history, model))
    asked = [m.tool_calls for m in history if m.role is Role.ASSISTANT and m.tool_calls]
    for ids_, made in zip(shown, asked, strict=True):
        for id_, call in zip(ids_, made, strict=True):
            is_own = call.given is not None and call.given.model == model
            assert id_ == call.given.id if is_own and call.given else id_.startswith("call_")


@given(histories, histories)
def test_a_longer_history_keeps_the_settled_beginning_of_the_prompt(
    old: list[Message], new: list[Message]
) -> None:
    settled = [*old, message(Role.USER, TextPart(text="next"))]
    before = chat_prompt(AGENT, settled)
    assert chat_prompt(AGENT, settled + new)[: len(before)] == before


def test_signed_reasoning_is_sent_back_and_unsigned_is_not() -> None:
    signed = message(Role.ASSISTANT, ReasoningPart(reasoning="hm", signature="s"))
    unsigned = message(Role.ASSISTANT, ReasoningPart(reasoning="hm"), TextPart(text="hi"))
    first, second = chat_prompt(AGENT, [signed, unsigned])
    assert first["thinking_blocks"][0]["signature"] == "s"
    assert "thinking_blocks" not in second


def test_the_prompt_key_changes_with_what_is_shown_and_only_with_that() -> None:
    key = prompt_key(AGENT, [block()])
    assert prompt_key(AGENT, [block(version=7, tags=["x"])]) == key
    for change in ({"value": "Bob"}, {"read_only": True}, {"description": "who"}):
        assert prompt_key(AGENT, [block(**change)]) != key
    assert prompt_key(AGENT.model_copy(update={"system": "Be brief."}), [block()]) != key


def test_memory_stands_where_the_system_text_wants_it() -> None:
    agent = AGENT.model_copy(update={"system": "Before. {CORE_MEMORY} After."})
    text = compile_prompt(agent, CONVERSATION, [block()], recall_count=3, now=NOW)
    assert text.startswith("Before. <memory_blocks>")
    assert text.endswith("</memory_metadata> After.")
    assert "- chars_current=3\n- chars_limit=100000" in text
    assert "<value>\nAda\n</value>" in text
    assert "System prompt last recompiled: 2026-03-01 09:15:00 AM UTC+0000" in text
    plain = compile_prompt(AGENT, CONVERSATION, [], recall_count=0, now=NOW)
    assert plain.startswith("Be kind.\n\n<memory_blocks>")


def test_an_unknown_time_zone_reads_as_utc() -> None:
    assert local_time(NOW, "Mars/Olympus").endswith("UTC+0000")
    assert local_time(NOW, "Europe/Berlin") == "2026-03-01 10:15:00 AM CET+0100"


@pytest.mark.parametrize(
    ("model", "agent_type", "is_numbered"),
    [
        ("anthropic/x", "letta_v1_agent", True),
        ("anthropic/x", "memgpt_v2_agent", True),
        ("anthropic/x", "sleeptime_agent", True),
        ("anthropic/x", "memgpt_agent", False),
        ("openai/x", "letta_v1_agent", False),
    ],
)
def test_anthropics_models_see_line_numbers_where_tools_take_lines(
    model: str, agent_type: str, is_numbered: bool
) -> None:
    agent = AGENT.model_copy(update={"model": model, "agent_type": agent_type})
    text = compile_prompt(agent, CONVERSATION, [block(value="Ada\nParis")], recall_count=0, now=NOW)
    assert ("<value>\n1→ Ada\n2→ Paris\n</value>" in text) is is_numbered
    assert (LINE_NUMBER_BANNER in text) is is_numbered
    same_on_openai = AGENT.model_copy(update={"agent_type": agent_type})
    is_same = prompt_key(agent, [block()]) == prompt_key(same_on_openai, [block()])
    assert is_same is not is_numbered


@pytest.mark.parametrize("agent_type", ["react_agent", "workflow_agent"])
def test_some_agents_are_not_shown_their_blocks(agent_type: str) -> None:
    agent = AGENT.model_copy(update={"agent_type": agent_type})
    text = compile_prompt(agent, CONVERSATION, [block()], recall_count=0, now=NOW)
    assert "<memory_blocks>" not in text
    assert "<memory_metadata>" in text
    assert prompt_key(agent, [block()]) == prompt_key(agent, [])


def test_returns_in_any_order_are_shown_with_their_calls() -> None:
    asked = [ToolCall(id=f"call_{n}", name="t", arguments="{}") for n in range(2)]
    came = [
        message(
            Role.TOOL,
            tool_return=ToolReturn(
                tool_call_id=call.id, name="t", status="success", content=f"of {call.id}"
            ),
        )
        for call in reversed(asked)
    ]
    prompt = chat_prompt(AGENT, [message(Role.ASSISTANT, tool_calls=asked), *came])
    ids = [call["id"] for call in prompt[0]["tool_calls"]]
    told = {shown["tool_call_id"]: json.loads(shown["content"])["message"] for shown in prompt[1:]}
    assert [told[call_id] for call_id in ids] == ["of call_0", "of call_1"]


@pytest.mark.parametrize("is_copied", [False, True])
def test_calls_that_an_older_release_stored_under_one_id_keep_their_returns(
    is_copied: bool,
) -> None:
    asked = [ToolCall(id="functions.t:0", name="t", arguments="{}") for _ in range(2)]
    reply = message(Role.ASSISTANT, tool_calls=asked, step_id=None if is_copied else "step-1")
    places = (0, 1) if is_copied else (1, 0)  # a copy has ids of its own: the order is all there is
    came = [
        message(
            Role.TOOL,
            id="message-2" if is_copied else return_message_id("step-1", place),
            tool_return=ToolReturn(
                tool_call_id="functions.t:0", name="t", status="success", content=f"of {place}"
            ),
        )
        for place in places
    ]
    prompt = chat_prompt(AGENT, [reply, *came])
    told = [json.loads(shown["content"])["message"] for shown in prompt[1:]]
    assert told == ["of 0", "of 1"]
