"""What some providers want in every history is there, and what they do not know again is not."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from o.domain.llm import ModelRequest
from o.llm.models import Models
from o.llm.providers.providers import Providers
from o.llm.requests.capabilities import Capabilities, capabilities_of
from o.llm.requests.repair import repaired
from o.settings.providers import ProviderSettings
from tests.llm.requests.refusing import (
    Body,
    Habit,
    RefusingProvider,
    calls_of,
    openai_error,
    refuses,
    refusing_provider,
)
from tests.llm.requests.test_repair import TOOLS, talk

ANY_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}


def assistants(body: Body) -> list[dict[str, Any]]:
    return [message for message in body["messages"] if message["role"] == "assistant"]


def test_each_reply_of_a_turn_with_calls_says_what_was_thought_be_it_nothing() -> None:
    before: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]
    own: list[dict[str, Any]] = [{"role": "assistant", "content": "so", "reasoning_content": "hm"}]
    prompt = [*before, *talk()[1:], *own, *before]
    fitted, notes = repaired(prompt, TOOLS, Capabilities(wants_thoughts=True))
    said = [message.get("reasoning_content") for message in assistants({"messages": fitted})]
    assert said == [None, "", "", "hm", None]
    assert notes
    refused = Capabilities(wants_thoughts=True).without_in_messages("reasoning_content")
    assert "reasoning_content" not in str(repaired(prompt, TOOLS, refused)[0])


def test_the_first_call_of_a_reply_has_a_signature() -> None:
    prompt = talk()
    prompt[2]["tool_calls"].append(prompt[2]["tool_calls"][0] | {"id": "call_1"})
    fitted, _ = repaired(prompt, TOOLS, Capabilities(signs_calls=True))
    signed = [one.get("extra_content") for one in fitted[2]["tool_calls"]]
    assert signed == [ANY_SIGNATURE, None]
    assert repaired(fitted, TOOLS, Capabilities(signs_calls=True))[0] == fitted


@pytest.mark.parametrize(
    ("kind", "host", "model", "thoughts", "signatures"),
    [
        ("deepseek", "api.deepseek.com", "deepseek-v4-pro", True, False),
        ("openai", "api.moonshot.ai", "kimi-k2.5", True, False),
        ("openai", "generativelanguage.googleapis.com", "gemini-3-flash", False, True),
        ("openai", "generativelanguage.googleapis.com", "gemini-2.5-flash", False, False),
        ("openai", "api.openai.com", "gpt-4o", False, False),
        ("groq", "api.groq.com", "moonshotai/kimi-k2-instruct", False, False),
    ],
)
def test_who_is_known_to_want_what(
    kind: str, host: str, model: str, thoughts: bool, signatures: bool
) -> None:
    takes = capabilities_of(kind, "openai", host, model)
    assert (takes.wants_thoughts, takes.signs_calls) == (thoughts, signatures)


def test_thoughts_are_not_sent_where_litellm_makes_something_else_of_them() -> None:
    takes = capabilities_of("google_ai", "gemini", "", "gemini-3-pro")
    assert {"reasoning_content", "reasoning"} <= takes.left_out_of_messages


ADDED: dict[str, Any] = {
    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "old"}],
    "extra_content": {"google": {"thought_signature": "old"}},
}


def has_no_thought(body: Body) -> bool:
    return any("reasoning_content" not in one for one in assistants(body) if one.get("tool_calls"))


def has_no_signature(body: Body) -> bool:
    return any("extra_content" not in one for one in calls_of(body))


def has_an_old_signature(body: Body) -> bool:
    return "'old'" in str(body["messages"])


WANTS: dict[str, tuple[Habit, bool]] = {
    "DeepSeek": (
        refuses(
            has_no_thought,
            400,
            openai_error(
                "The `reasoning_content` in the thinking mode must be passed back to the API."
            ),
        ),
        True,
    ),
    "DeepSeek at first": (
        refuses(
            has_no_thought,
            400,
            openai_error(
                "Missing `reasoning_content` field in the assistant message at message index 2"
            ),
        ),
        True,
    ),
    "Kimi": (
        refuses(
            has_no_thought,
            400,
            openai_error(
                "thinking is enabled but reasoning_content is missing in assistant tool call "
                "message at index 2"
            ),
        ),
        True,
    ),
    "Gemini": (
        refuses(
            has_no_signature,
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": "Function call is missing a thought_signature in functionCall "
                        "parts. Additional data, function call `default_api:f` , position 2.",
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ],
        ),
        True,
    ),
    "Anthropic behind OpenRouter": (
        refuses(
            has_an_old_signature,
            400,
            openai_error("messages.1.content.0: Invalid `signature` in `thinking` block"),
        ),
        False,
    ),
    "Gemini, which does not know its own again": (
        refuses(has_an_old_signature, 400, openai_error("Corrupted thought signature.")),
        False,
    ),
}


@pytest.fixture
def strict() -> Iterator[RefusingProvider]:
    with refusing_provider() as strict:
        yield strict


@pytest.mark.parametrize(("habit", "is_of_others"), WANTS.values(), ids=WANTS)
async def test_what_a_refusal_asks_for_is_given(
    strict: RefusingProvider, habit: Habit, is_of_others: bool
) -> None:
    strict.habits = [habit]
    settings = ProviderSettings(
        openai_api_key=SecretStr("sk-secret-key"), openai_base_url=strict.url
    )
    models = Models(Providers(settings), timeout_s=20)
    prompt = talk()
    if not is_of_others:
        prompt[2] |= {"reasoning_details": ADDED["reasoning_details"]}
        prompt[2]["tool_calls"][0]["extra_content"] = ADDED["extra_content"]
    request = ModelRequest(handle="openai/x", prompt=[*prompt, {"role": "user", "content": "?"}])
    reply = await models.complete(request)
    assert (reply.text, strict.statuses) == ("hello", [400, 200])
    assert reply.notes
    strict.forget()
    await models.complete(request)
    assert strict.statuses == [200], "what helped is remembered"
    await models.close()
