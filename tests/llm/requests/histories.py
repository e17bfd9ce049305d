"""Histories of all kinds: turns that failed, were cancelled or denied, odd names and arguments."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from o.domain.agents import Agent
from o.domain.messages import (
    GivenId,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)

MODEL = "openai/x"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(
    id="a",
    organization_id="o",
    name="ada",
    system="",
    model=MODEL,
    timezone="UTC",
    created_at=NOW,
    updated_at=NOW,
)
ODD_NAMES = (
    "$memory insert",
    "functions.memory_insert",
    "memory_insert<|channel|>commentary",
    "",
    "x" * 300,
    "7 steps",
    "é",
    "\ud83d".encode("utf-8", "replace").decode(),
)
ODD_ARGUMENTS = (
    "{}",
    '{"a": 1}',
    '{"a": "half \\ud83d"}',
    '{"a": NaN, "b": [-Infinity]}',
    '{"a": 1e999}',
    "[1]",
    '"text"',
    "null",
    '{"a": ',
    "",
    '{"\\udc00": {"b": "\\ud800\\ud800"}}',
)
IMAGES: tuple[dict[str, Any], ...] = (
    {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    {"type": "url", "url": "https://pictures.example/a.png"},
    {"type": "url", "url": "HTTP://pictures.example/a.png"},
)

texts = st.sampled_from(("hello", " ", "", "\n", "[]")) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
names = st.sampled_from(("memory_insert", "known.tool", *ODD_NAMES)) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=80
)
ids = st.sampled_from(
    ("call_0", "functions.memory_insert:0", "", "abcdefghi", "a b", "y" * 100)
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Messages as they are stored, oldest first."""
    history: list[Message] = []

    def add(role: Role, **more: Any) -> None:
        place = len(history)
        history.append(
            Message(
                id=f"message-{place}",
                organization_id="o",
                agent_id="a",
                conversation_id="c",
                step_id=f"step-{place}",
                position=place,
                role=role,
                created_at=NOW,
                **more,
            )
        )

    for _ in range(draw(st.integers(0, 8))):
        match draw(st.sampled_from(("user", "system", "say", "calls"))):
            case "user":
                parts: list[Part] = [
                    TextPart(text=text) for text in draw(st.lists(texts, max_size=2))
                ]
                parts += [
                    ImagePart(source=image)
                    for image in draw(st.lists(st.sampled_from(IMAGES), max_size=2))
                ]
                add(Role.USER, parts=parts, name=draw(st.sampled_from((None, "ada", "A b"))))
            case "system":
                add(Role.SYSTEM, parts=[TextPart(text=draw(texts))])
            case "say":
                add(Role.ASSISTANT, parts=[*_thought(draw), TextPart(text=draw(texts))])
            case "calls":
                _calls(draw, add)
    return history


def _thought(draw: st.DrawFn) -> list[Part]:
    signature = draw(st.sampled_from((None, "signed")))
    return [ReasoningPart(reasoning="hm", signature=signature)] if draw(st.booleans()) else []


def _calls(draw: st.DrawFn, add: Any) -> None:
    made = []
    for n in range(draw(st.integers(1, 3))):
        given = draw(ids)
        model = draw(st.sampled_from((MODEL, "other/y")))
        made.append(
            ToolCall(
                id=f"call-{n}",
                name=draw(names),
                arguments=draw(st.sampled_from(ODD_ARGUMENTS)),
                given=GivenId(id=given, model=model) if given else None,
            )
        )
    add(Role.ASSISTANT, parts=[TextPart(text=draw(texts))], tool_calls=made)
    for call in made:
        if draw(st.booleans()):  # else the turn was cancelled, or failed
            returned = ToolReturn(
                tool_call_id=call.id, name=call.name, status="error", content=draw(texts)
            )
            add(Role.TOOL, tool_return=returned)
