"""The models that the providers offer, asked over HTTP and remembered for a minute."""

import asyncio
import logging
import math
import re
import time
from dataclasses import dataclass

import aiohttp
from pydantic_core import from_json

from o.domain.agents import DEFAULT_CONTEXT_WINDOW
from o.domain.json_bounds import check_json_text
from o.errors import NotFound
from o.llm.http import body_of, open_session, proxy_of, whole_body
from o.llm.providers import LOCAL_MODEL, Provider, Providers

_log = logging.getLogger(__name__)
_FRESH_S = 60.0
_AWAY_S = 5.0
"""How long a provider that did not tell is left alone: each time, somebody waits for it."""

_TIMEOUT_S = 5.0


_EMBEDDING = re.compile(r"embed(?!ded)|minilm|(?:^|[/:_.-])(?:bge|gte|e5)-", re.IGNORECASE)


def embeds_text(model: str) -> bool:
    """Whether a model's id is that of one which embeds text, as far as names tell.

    Lists of OpenAI, Ollama and servers like theirs hold both kinds and say of neither which it is.
    """
    return _EMBEDDING.search(model) is not None


@dataclass(frozen=True)
class CatalogueEntry:
    """One model: its handle is `<provider name>/<id>`."""

    provider: Provider
    model: str

    @property
    def handle(self) -> str:
        """How agents name it."""
        return f"{self.provider.name}/{self.model}"

    @property
    def context_window(self) -> int:
        """Tokens that an agent gets unless it asks otherwise; V1 caps them by default."""
        return min(self.provider.context_window, DEFAULT_CONTEXT_WINDOW)


class Catalogue:
    """Answers which models there are."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._known: dict[str, tuple[float, list[str] | None]] = {}

    async def list_models(self) -> list[CatalogueEntry]:
        """Every language model of every provider; one that cannot be asked adds none."""
        return [
            CatalogueEntry(provider, model)
            for provider, models in await self._lists()
            for model in models or []
        ]

    async def list_embedding_models(self, organization_id: str = "") -> list[CatalogueEntry]:
        """Every model that embeds text."""
        providers = self._providers.all()
        lists = await asyncio.gather(*map(self._models_of, providers))
        return [
            CatalogueEntry(provider, model)
            for provider, models in zip(providers, lists, strict=True)
            for model in models or []
            if embeds_text(model)
        ]

    async def count_models(self) -> dict[str, int | None]:
        """How many language models each provider has, None where it does not tell."""
        return {
            provider.name: None if models is None else len(models)
            for provider, models in await self._lists()
        }

    async def _lists(self) -> list[tuple[Provider, list[str] | None]]:
        providers = self._providers.all()
        lists = await asyncio.gather(*map(self._models_of, providers))
        return [
            (provider, models and [model for model in models if not embeds_text(model)])
            for provider, models in zip(providers, lists, strict=True)
        ]

    async def get(self, handle: str) -> CatalogueEntry:
        """The model by that handle. One of a provider that does not answer is taken on trust.

        Raises:
            NotFound: No such provider is set up, or it says that it has no such model.
        """
        provider, model = self._providers.resolve(handle)
        models = await self._models_of(provider)
        if models is not None and model not in models:
            raise NotFound(f"Handle {handle} not found: {provider.name} offers no such model")
        return CatalogueEntry(provider, model)

    async def _models_of(self, provider: Provider) -> list[str] | None:
        if provider.name == "local":
            return [LOCAL_MODEL]
        asked_at, models = self._known.get(provider.name, (-math.inf, None))
        if time.monotonic() - asked_at > (_AWAY_S if models is None else _FRESH_S):
            models = await _ask(provider)
            self._known[provider.name] = (time.monotonic(), models)
        return models


async def _ask(provider: Provider) -> list[str] | None:
    """Ids of the provider's models, None when it does not tell."""
    key = provider.api_key.get_secret_value() if provider.api_key else ""
    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    path, headers, listed, field = {
        "openai": ("/models", bearer, "data", "id"),
        "anthropic": (
            "/v1/models?limit=1000",
            {"x-api-key": key, "anthropic-version": "2023-06-01"},
            "data",
            "id",
        ),
        "ollama": ("/api/tags", {}, "models", "name"),
    }[provider.wire]
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            open_session() as session,
            session.get(
                provider.base_url.rstrip("/") + path,
                headers=headers,
                proxy=proxy_of(provider.base_url),
                raise_for_status=True,
                allow_redirects=False,
            ) as response,
        ):
            body = await whole_body(body_of(response))
        check_json_text(body)
        found = from_json(body)
        return [str(model[field]) for model in found[listed]]
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        _log.warning(
            "provider did not list its models",
            extra={"provider": provider.name, "error": type(error).__name__},
        )
        return None
