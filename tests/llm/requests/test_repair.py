"""Whatever stands in history, the request is one that the provider takes."""

import copy
import itertools
import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.messages import Message
from o.llm.requests.capabilities import Capabilities, capabilities_of
from o.llm.requests.leaving_out import addition_marks, failed_turn_marks, image_marks
from o.llm.requests.repair import repaired
from o.memory.context import Prompt
from tests.llm.requests.histories import AGENT, MODEL, ODD_ARGUMENTS, ODD_NAMES, histories
from tests.llm.requests.strict import problems_of

TOOLS = ["memory_insert", "known.tool"]
KNOWN = {
    "OpenAI": capabilities_of("openai", "openai", "api.openai.com", "gpt-4o"),
    "Anthropic": capabilities_of("anthropic", "anthropic", "api.anthropic.com", "claude-4"),
    "Bedrock": capabilities_of("bedrock", "bedrock", "", "anthropic.claude-4"),
    "Gemini": capabilities_of("google_ai", "gemini", "", "gemini-3-pro"),
    "Mistral": capabilities_of("mistral", "openai", "api.mistral.ai", "mistral-large-latest"),
    "Gemma 2": capabilities_of("ollama", "ollama", "", "gemma2:9b"),
    "Gemma 3": capabilities_of("openai", "openai", "localhost", "google/gemma-3-27b-it"),
    "DeepSeek": capabilities_of("deepseek", "openai", "api.deepseek.com", "deepseek-chat"),
}
IDS: tuple[dict[str, Any], ...] = (
    {},
    {"call_ids": re.compile("[A-Za-z0-9]{9}"), "call_id_chars": 9},
    {"call_ids": re.compile("[A-Za-z0-9_-]+"), "call_id_chars": 40, "unique_ids": True},
)
capability_sets = st.sampled_from(list(KNOWN.values())) | st.builds(
    lambda ids, left_out, **others: replace(
        Capabilities(), left_out_of_messages=frozenset(left_out), **ids, **others
    ),
    ids=st.sampled_from(IDS),
    left_out=st.sets(st.sampled_from(("name", "thinking_blocks", "reasoning_content"))),
    alternates=st.booleans(),
    user_first=st.booleans(),
    system=st.sampled_from(("anywhere", "head", "nowhere")),
    images=st.booleans(),
    image_addresses=st.sampled_from(((), ("https://",), ("http://", "https://", "HTTP://"))),
    most_images=st.sampled_from((None, None, 0, 1, 3)),
    null_content=st.booleans(),
    calls_in_words=st.sampled_from((False, False, True)),
    signs_calls=st.booleans(),
    calls_without_tools=st.booleans(),
)


def prompt_of(history: list[Message], model: str = MODEL) -> list[dict[str, Any]]:
    prompt = Prompt()
    for message in history:
        prompt.add(AGENT, message)
    return prompt.chat(None, model)


@given(histories(), capability_sets, st.sampled_from(([], TOOLS)), st.booleans())
def test_a_strict_provider_takes_whatever_stands_in_history(
    history: list[Message], takes: Capabilities, tools: list[str], has_system: bool
) -> None:
    prompt = prompt_of(history)
    if has_system:
        prompt = [{"role": "system", "content": "Be kind."}, *prompt]
    before = copy.deepcopy(prompt)
    fitted, notes = repaired(prompt, tools, takes)
    assert problems_of(fitted, tools, takes) == []
    assert prompt == before, "history is not changed"
    assert repaired(prompt, tools, takes) == (fitted, notes), "the same words each time"
    assert repaired(fitted, tools, takes)[0] == fitted, "nothing is left to be done"
    is_plain = takes.null_content and not takes.left_out_of_messages
    is_plain &= not takes.signs_calls
    assert notes or fitted == prompt or not is_plain


@given(histories(), capability_sets, st.booleans(), st.booleans(), st.booleans())
def test_so_it_does_when_all_is_left_out_that_was_ever_refused(
    history: list[Message], takes: Capabilities, images: bool, failed: bool, is_alone: bool
) -> None:
    prompt = [{"role": "system", "content": "Be kind."}, *prompt_of(history)]
    refused = addition_marks(prompt)
    refused |= image_marks(prompt) if images else frozenset()
    refused |= failed_turn_marks(prompt) if failed else frozenset()
    fitted, _ = repaired(prompt, TOOLS, takes, refused, is_alone=is_alone)
    assert problems_of(fitted, TOOLS, takes) == []
    assert not addition_marks(fitted) or takes.signs_calls or takes.wants_thoughts
    assert not (images and image_marks(fitted))


CALL = {"name": "memory_insert", "arguments": "{}"}


def talk(**function: Any) -> list[dict[str, Any]]:
    call = {"id": "call_0", "type": "function", "function": CALL | function}
    return [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "{}"},
        {"role": "assistant", "content": "done"},
    ]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("$memory insert", "memory_insert"),
        ("functions.memory_insert", "memory_insert"),
        ("memory_insert<|channel|>commentary", "memory_insert"),
        ("", "unnamed_tool"),
        ("<|im_start|>", "unnamed_tool"),
        ("x" * 300, "x" * 64),
        ("7 steps", "_7_steps"),
        ("known.tool", "known.tool"),
    ],
)
def test_a_name_that_a_model_made_up_is_cleaned(name: str, cleaned: str) -> None:
    fitted, notes = repaired(talk(name=name), TOOLS, Capabilities())
    assert fitted[2]["tool_calls"][0]["function"]["name"] == cleaned
    assert bool(notes) == (name != cleaned)


@pytest.mark.parametrize("arguments", ODD_ARGUMENTS)
def test_arguments_are_an_object_that_everybody_can_read(arguments: str) -> None:
    fitted, _ = repaired(talk(arguments=arguments), TOOLS, Capabilities())
    assert problems_of(fitted, TOOLS, Capabilities()) == []


PNG, JPEG = "iVBORw0KGgoAAAANSUhEUg==", "/9j/4AAQSkZJRgABAQ=="


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"data:image/jpg;base64,{JPEG}", f"data:image/jpeg;base64,{JPEG}"),
        ("data:image/jpg;base64,AAAA", "data:image/jpeg;base64,AAAA"),
        (f"data:image/png;base64,{JPEG}", f"data:image/jpeg;base64,{JPEG}"),
        (f"data:image/jpeg;base64,{PNG}", f"data:image/png;base64,{PNG}"),
        ("data:image/webp;base64,R0lGODlhAQABAA==", "data:image/gif;base64,R0lGODlhAQABAA=="),
        (f"data:image/png;base64,{PNG}", None),
        ("data:image/bmp;base64,Qk0AAA==", None),
        (f"https://pictures.example/{PNG},.png", None),
        ("data:,", None),
    ],
)
def test_an_image_is_shown_as_what_it_is(said: str, shown: str | None) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": said}}]
    prompt = [{"role": "user", "content": parts}]
    fitted, notes = repaired(prompt, TOOLS, Capabilities())
    assert fitted[0]["content"][1]["image_url"]["url"] == (shown or said)
    assert bool(notes) is (shown is not None)
    assert image_marks(prompt) == image_marks(fitted), "what was refused is known again"


def test_calls_of_a_tool_that_is_gone_are_told_in_words_where_calls_need_tools() -> None:
    fitted, notes = repaired(talk(), [], KNOWN["Anthropic"])
    assert [message["role"] for message in fitted[1:]] == ["user", "assistant", "user", "assistant"]
    assert "memory_insert" in fitted[2]["content"]
    assert notes


def test_an_unremarkable_prompt_passes_as_it_is() -> None:
    prompt = [*talk(), *talk()[1:]]
    for name, takes in KNOWN.items():
        is_plain = takes.call_ids is None and takes.system == "anywhere"
        if is_plain and not takes.wants_thoughts:
            fitted, notes = repaired(prompt, TOOLS, takes)
            assert all(one is other for one, other in zip(fitted, prompt, strict=True)), name
            assert notes == []


def test_later_messages_do_not_change_the_words_of_earlier_ones() -> None:
    history = list(
        itertools.chain(
            *(
                talk(name=name, arguments=arguments)[1:]
                for name in ODD_NAMES
                for arguments in ODD_ARGUMENTS
            )
        )
    )
    for takes in KNOWN.values():
        whole, _ = repaired(history, TOOLS, takes)
        for length in range(4, len(history), 4):  # whole turns
            part, _ = repaired(history[: length + 1], TOOLS, takes)
            assert json.dumps(whole).startswith(json.dumps(part)[:-1])


def test_a_thousand_messages_are_looked_through_in_next_to_no_time() -> None:
    prompt = talk()[:1] + [message for _ in range(250) for message in talk()[1:]]
    best = min(_took_s(prompt) for _ in range(5))
    assert best < 0.02, "a turn takes about this long in all"


def _took_s(prompt: list[dict[str, Any]]) -> float:
    started = time.perf_counter()
    repaired(prompt, TOOLS, Capabilities())
    return time.perf_counter() - started
