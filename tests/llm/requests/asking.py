"""Requests to a provider that refuses some, and where lessons are kept meanwhile."""

from typing import Any

from pydantic import SecretStr

from o.domain.lessons import ModelKey
from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.llm.models import Models
from o.llm.providers.providers import Providers
from o.llm.requests.learnt import Learnt
from o.settings.providers import ProviderSettings
from o.tools.registry import BUILT_IN_TOOLS
from tests.llm.requests.refusing import (
    RefusingProvider,
)
from tests.llm.requests.test_repair import talk

ORGANIZATION = "org-1"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
OTHER_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,BBBB"}}
SETTINGS = {"temperature": 0.5, "max_output_tokens": 99, "top_p": 0.9}


def asked_for(*more: dict[str, Any]) -> ModelRequest:
    return ModelRequest(
        handle="openai/some-model",
        organization_id=ORGANIZATION,
        prompt=[*talk(), *more, {"role": "user", "content": "what now?"}],
        tools=[BUILT_IN_TOOLS["memory_insert"].spec],
        settings=SETTINGS,
    )


def shown(*images: dict[str, Any]) -> list[dict[str, Any]]:
    text = {"type": "text", "text": "look"}
    return [{"role": "user", "content": [text, *images]}, {"role": "assistant", "content": "nice"}]


class Shelf:
    """Lessons as the database keeps them."""

    def __init__(self) -> None:
        self.kept: dict[ModelKey, frozenset[str]] = {}

    async def all(self) -> dict[ModelKey, frozenset[str]]:
        return dict(self.kept)

    async def add(self, key: ModelKey, lessons: frozenset[str]) -> None:
        self.kept[key] = self.kept.get(key, frozenset()) | lessons


def models_at(strict: RefusingProvider, shelf: Shelf) -> Models:
    settings = ProviderSettings(openai_api_key=SecretStr("k"), openai_base_url=strict.url)
    return Models(Providers(settings), timeout_s=20, learnt=Learnt(shelf))


async def ask(models: Models, request: ModelRequest, *, streams: bool = False) -> ModelReply:
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    reply = await models.complete(request, keep if streams else None)
    if streams:
        assert "".join(delta.text for delta in deltas) == reply.text
    return reply
