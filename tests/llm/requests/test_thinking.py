"""How much models are to think, as each is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from o.domain.llm import ModelRequest
from o.llm.models import Models
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import chat_body
from o.llm.wires.responses_request import responses_body
from tests.llm.conformance.bench import KINDS, TOOLS, models_at
from tests.llm.fakes.provider import Fake
from tests.llm.fakes.server import serving

OPENAI = Provider("openai", "openai", "openai", "https://api.openai.com/v1")
ZAI = Provider("zai", "zai", "openai", "https://api.z.ai/api/paas/v4")
EFFORT = {"reasoning": {"reasoning_effort": "low"}}


def request(settings: dict[str, Any], **fields: Any) -> ModelRequest:
    prompt = [{"role": "user", "content": "Hello"}]
    body = {"handle": "x/y", "prompt": prompt, "settings": settings} | fields
    return ModelRequest.model_validate(body | {"tools": [tool.model_dump() for tool in TOOLS]})


@pytest.mark.parametrize(
    ("who", "model", "settings", "told"),
    [
        (OPENAI, "gpt-5-mini", EFFORT, {"reasoning_effort": "low"}),
        (OPENAI, "o3", EFFORT, {"reasoning_effort": "low"}),
        (OPENAI, "gpt-4o", EFFORT, {}),
        (OPENAI, "o3", {"reasoning": {"reasoning_effort": "none"}}, {}),
        (OPENAI, "o3", {"reasoning": None}, {}),
        (OPENAI, "o3", {}, {}),
        (ZAI, "glm-4.6", {"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
        (ZAI, "glm-4.6", {}, {}),
    ],
)
def test_the_openai_wire_says_how_much_to_think(
    who: Provider, model: str, settings: dict[str, Any], told: dict[str, Any]
) -> None:
    body = chat_body(who, model, request(settings), streams=False)
    assert {name: body[name] for name in ("reasoning_effort", "thinking") if name in body} == told


def test_the_responses_wire_says_it_in_its_own_words() -> None:
    body = responses_body(OPENAI, "gpt-5-pro", request(EFFORT), streams=False)
    assert body["reasoning"] == {"effort": "low"}
    assert "reasoning_effort" not in body


@pytest.fixture(scope="module")
def fakes() -> dict[str, Fake]:
    return {name: KINDS[name].fake() for name in ("anthropic", "gemini")}


@pytest.fixture(scope="module")
def models(fakes: dict[str, Fake]) -> Iterator[Models]:
    with serving(*fakes.values()) as url:
        yield models_at(url)


@pytest.mark.parametrize(
    ("budget", "most", "told"),
    [(2_000, 8_000, 2_000), (2_000, None, 2_000), (10, 8_000, 1_024), (9_000, 4_000, 3_999)],
)
async def test_anthropic_is_told_a_budget_that_it_takes(
    fakes: dict[str, Fake], models: Models, budget: int, most: int | None, told: int
) -> None:
    fake = fakes["anthropic"]
    fake.reset()
    settings: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": budget}}
    settings |= {"max_output_tokens": most, "temperature": 0.5, "top_p": 0.9}
    handle = f"anthropic/{fake.model}"
    await models.complete(request(settings, handle=handle))
    assert fake.asked[0].body["thinking"] == {"type": "enabled", "budget_tokens": told}
    assert fake.refused == []


@pytest.mark.parametrize(
    ("settings", "choice"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "required"),
        ({"thinking": {"type": "enabled"}, "max_output_tokens": 500}, None),
        ({"thinking": {"type": "disabled", "budget_tokens": 2_000}}, None),
        ({}, None),
    ],
)
async def test_anthropic_does_not_think_where_it_must_not(
    fakes: dict[str, Fake], models: Models, settings: dict[str, Any], choice: str | None
) -> None:
    fake = fakes["anthropic"]
    fake.reset()
    handle = f"anthropic/{fake.model}"
    await models.complete(request(settings, handle=handle, tool_choice=choice))
    assert "thinking" not in fake.asked[0].body
    assert fake.refused == []


@pytest.mark.parametrize("shows", [True, False])
async def test_gemini_is_told_its_configuration(
    fakes: dict[str, Fake], models: Models, shows: bool
) -> None:
    fake = fakes["gemini"]
    fake.reset()
    config = {"include_thoughts": shows, "thinking_budget": 2_000}
    handle = f"gemini/{fake.model}"
    await models.complete(request({"thinking_config": config}, handle=handle))
    told = fake.asked[0].body.get("generationConfig", {}).get("thinkingConfig")
    assert (told is not None) is shows
    assert fake.refused == []
    if told:
        assert told["includeThoughts"] is True
