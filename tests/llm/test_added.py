"""What a provider adds to a reply is read off the wire and shown to its own models again."""

from typing import Any

import pytest

from o.domain.extras import MAX_EXTRAS_BYTES, Extras, extras_to_store, maker_of
from o.domain.messages import GivenId, Message, Part, ReasoningPart, Role, TextPart, ToolCall
from o.memory.context import Prompt
from tests.llm.answering import Server, ask, choice, chunk
from tests.unit.test_context import AGENT, message

SIGNATURE = {"google": {"thought_signature": "signed"}}
DETAIL = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
CALL: dict[str, Any] = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
OTHER_CALL = CALL | {"id": "b"}

# Pieces of a stream, and what a whole message has of the same.
ADDED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "OpenRouter: numbered, the signature by itself": (
        [
            {"reasoning_details": [DETAIL | {"text": "a "}]},
            {"reasoning_details": [DETAIL | {"text": "thought"}]},
            {"reasoning_details": [DETAIL | {"signature": "s", "text": None}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "y", "index": 1}]},
        ],
        {
            "reasoning_details": [
                DETAIL | {"text": "a thought", "signature": "s"},
                {"type": "reasoning.encrypted", "data": "x", "index": 1},
                {"type": "reasoning.encrypted", "data": "y", "index": 1},
            ]
        },
    ),
    "OpenRouter: without numbers, two blocks": (
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "one"}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "1"}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "two"}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "2"}]},
        ],
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "one", "signature": "1"},
                {"type": "reasoning.text", "text": "two", "signature": "2"},
            ]
        },
    ),
    "LiteLLM's proxy: Anthropic's blocks": (
        [
            {"thinking_blocks": [{"type": "thinking", "thinking": "one", "signature": None}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "1"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "sealed"}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "two", "signature": "2"}]},
        ],
        {
            "thinking_blocks": [
                {"type": "thinking", "thinking": "one", "signature": "1"},
                {"type": "redacted_thinking", "data": "sealed"},
                {"type": "thinking", "thinking": "two", "signature": "2"},
            ]
        },
    ),
    "Gemini: a signature of the text": (
        [{"content": "", "extra_content": SIGNATURE}],
        {"extra_content": SIGNATURE},
    ),
    "litellm: signatures, and nothing else of what it keeps": (
        [{"provider_specific_fields": {"thought_signatures": ["s"], "citations": None, "x": 1}}],
        {"provider_specific_fields": {"thought_signatures": ["s"]}},
    ),
    "spoilt": ([{"reasoning_details": "no", "extra_content": [1]}], {}),
}


@pytest.mark.parametrize(("pieces", "added"), ADDED.values(), ids=ADDED)
async def test_what_is_added_in_pieces_is_put_together(
    server: Server, pieces: list[dict[str, Any]], added: dict[str, Any]
) -> None:
    server.says(*(chunk(**piece) for piece in pieces), chunk("stop", content="hello"))
    assert (await ask(server, [])).extras == added
    server.says(choice(content="hello", **added))
    assert (await ask(server)).extras == added


@pytest.mark.parametrize("streams", [False, True])
async def test_what_is_added_to_calls_is_known_by_the_call(server: Server, streams: bool) -> None:
    fields = {"provider_specific_fields": {"thought_signature": "s"}}
    calls = [CALL | {"index": 0}, OTHER_CALL | {"index": 1, "extra_content": SIGNATURE} | fields]
    if streams:
        late = {"index": 0, "extra_content": SIGNATURE}
        server.says(chunk(tool_calls=calls), chunk("tool_calls", tool_calls=[late]))
    else:
        calls[0] |= {"extra_content": SIGNATURE}
        server.says(choice(tool_calls=calls))
    reply = await ask(server, [] if streams else None)
    assert len(reply.tool_calls) == 2
    assert reply.call_extras == [
        {"extra_content": SIGNATURE},
        {"extra_content": SIGNATURE} | fields,
    ]


@pytest.mark.parametrize(
    ("said", "field", "thought"),
    [
        ({"reasoning_content": "hm"}, "reasoning_content", "hm"),
        ({"reasoning_content": ""}, "reasoning_content", ""),
        ({"reasoning": "hm"}, "reasoning", "hm"),
        ({"reasoning": "hm", "reasoning_content": ""}, "reasoning", "hm"),
        ({"reasoning_content": None}, "", ""),
        ({}, "", ""),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_where_thoughts_stood_is_known(
    server: Server, said: dict[str, Any], field: str, thought: str, streams: bool
) -> None:
    pieces = [chunk(**said), chunk("stop", content="hello", reasoning_content=None)]
    server.says(*(pieces if streams else [choice(content="hello", **said)]))
    reply = await ask(server, [] if streams else None)
    assert (reply.thought_in, reply.reasoning) == (field, thought)


async def test_what_is_added_without_end_is_left_out_of_a_reply_that_stands(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = {"type": "reasoning.encrypted", "data": "secret " * 10_000}
    server.says(*[chunk(reasoning_details=[sealed])] * 70, chunk("stop", content="hello"))
    reply = await ask(server, [])
    assert (reply.text, reply.extras) == ("hello", {})
    (record,) = [one for one in caplog.records if one.name == "o.llm.wires.added"]
    assert record.__dict__["fields"] == ["reasoning_details"]
    assert "secret" not in str(record.__dict__)


def test_what_is_too_large_or_too_deep_is_not_stored_and_is_named() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    for fields in ({"big": "x" * MAX_EXTRAS_BYTES}, {"deep": deep}):
        kept, dropped = extras_to_store("a/x", fields, [{"extra_content": 1}], "reasoning_content")
        assert kept == Extras(model="a/x", thought_in="reasoning_content")
        assert dropped == sorted([*fields, "extra_content"])
    fine, dropped = extras_to_store("a/x", {"s": "x" * 99_999}, [{}, {"y": "a\0b"}], "")
    assert fine is not None
    assert (fine.calls[1], dropped) == ({"y": "a\N{REPLACEMENT CHARACTER}b"}, [])
    assert extras_to_store("a/x", {}, [{}], "") == (None, [])


@pytest.mark.parametrize(
    ("handle", "reads"),
    [
        ("openrouter/anthropic/claude", True),
        ("openrouter/anthropic/claude-older", True),
        ("openrouter/google/gemini", False),
        ("anthropic/claude", False),
        ("", False),
    ],
)
def test_extras_go_to_models_of_one_maker_at_one_provider(handle: str, reads: bool) -> None:
    assert Extras(model="openrouter/anthropic/claude").go_to(handle) is reads
    assert maker_of("deepseek/deepseek-v4") == "deepseek"


def reply(model: str, *, calls: int = 0, text: str = "", **extras: Any) -> Message:
    parts: list[Part] = [ReasoningPart(reasoning="hm")]
    parts += [TextPart(text=text)] if text else []
    made = [
        ToolCall(id=f"own{n}", name="f", arguments="{}", given=GivenId(id=f"g{n}", model=model))
        for n in range(calls)
    ]
    return message(Role.ASSISTANT, *parts, tool_calls=made, extras=Extras(model=model, **extras))


def user(text: str = "hi") -> Message:
    return message(Role.USER, TextPart(text=text))


def replies(prompt: Prompt, model: str) -> list[dict[str, Any]]:
    return [one for one in prompt.chat(None, model) if one["role"] == "assistant"]


def prompt_of(*history: Message) -> Prompt:
    prompt = Prompt()
    for one in history:
        prompt.add(AGENT, one)
    return prompt


def test_a_prompt_shows_additions_to_their_own_models_there_and_back() -> None:
    extras = Extras(model="a/x", fields={"extra_content": 1}, calls=[{}, {"s": 2}])
    own = reply("a/x", calls=2).model_copy(update={"extras": extras})
    prompt = prompt_of(user(), own, user("more"))
    for model, seen in (
        ("a/x", True),
        ("b/x", False),
        ("a/y", True),
        ("b/x", False),
        ("a/x", True),
    ):
        (shown,) = replies(prompt, model)
        assert ("extra_content" in shown) is seen
        assert [one.get("s") for one in shown["tool_calls"]] == [None, 2 if seen else None]
        assert [one["id"] == "g0" for one in shown["tool_calls"]] == [model == "a/x", False]
    prompt.add(AGENT, reply("a/x", text="later", fields={"extra_content": 3}))
    assert replies(prompt, "a/x")[1]["extra_content"] == 3
    assert "extra_content" not in replies(prompt, "b/x")[1]
    (first, _) = replies(prompt, "a/x")
    assert first["tool_calls"][1]["s"] == 2


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_go_back_in_turns_with_calls_only(field: str) -> None:
    prompt = prompt_of(
        user(),
        reply("a/x", text="no calls", thought_in=field),
        user(),
        reply("a/x", calls=1, thought_in=field),
        reply("a/x", text="called", thought_in=field),
        user(),
        reply("a/x", text="no calls again", thought_in=field),
    )
    assert [one.get(field) for one in replies(prompt, "a/x")] == [None, "hm", "hm", None]
    assert not any(field in one for one in replies(prompt, "b/x"))


def test_details_stand_for_the_thoughts_that_they_hold() -> None:
    details = [{"type": "reasoning.text", "text": "hm"}]
    own = reply("a/x", calls=1, thought_in="reasoning", fields={"reasoning_details": details})
    (shown,) = replies(prompt_of(user(), own), "a/x")
    assert shown["reasoning_details"] == details
    assert "reasoning" not in shown


def test_signed_reasoning_of_an_older_release_is_shown_as_before() -> None:
    old = message(
        Role.ASSISTANT, ReasoningPart(reasoning="hm", signature="s"), TextPart(text="hello")
    )
    block = {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert replies(prompt_of(user(), old), "any/x")[0]["thinking_blocks"] == [block]
    new = old.model_copy(update={"extras": Extras(model="a/x")})
    assert replies(prompt_of(user(), new), "a/x")[0]["thinking_blocks"] == [block]
    assert "thinking_blocks" not in replies(prompt_of(user(), new), "b/x")[0]


def test_a_prompt_counts_what_additions_take() -> None:
    plain, added = (
        prompt_of(reply("a/x", text="hi")),
        prompt_of(reply("a/x", text="hi", fields={"extra_content": "x" * 9_999})),
    )
    assert added.chars - plain.chars > 9_000
