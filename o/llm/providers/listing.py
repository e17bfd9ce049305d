"""How a provider is asked which models it has, in each of the ways that there are."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic_core import from_json

from o.domain.json_bounds import check_json_text
from o.errors import ModelError
from o.llm.bounds import ReplyOutOfBounds, UnknownEncoding
from o.llm.failures import out_of_bounds, refused, unreachable
from o.llm.http import body_of, error_text, judge_of, open_session, proxy_of, whole_body
from o.llm.providers.provider_types import PROVIDER_TYPES, Listing
from o.llm.providers.providers import Provider

TIMEOUT_S = 5.0
MAX_MODELS = 10_000
_MAX_PAGES = 20
_SHOWN_AT_ONCE = 8
_AZURE_LISTING = "2023-03-15-preview"
"""The last version of Azure's API that lists deployments with the key of a resource."""

# What a server answers that has no list, whatever the key: the models are taken on trust.
_NO_LIST = (404, 405, 410, 501)

# Where the size of a model's context stands, with the first that is there.
_CONTEXT_FIELDS = (
    "max_model_len",  # vLLM, SGLang
    "loaded_context_length",  # LM Studio: what it was loaded with
    "context_length",  # OpenRouter, Together, Fireworks
    "max_context_length",  # Mistral, LM Studio
    "context_window",  # Groq
    "max_input_tokens",  # Anthropic
    "inputTokenLimit",  # Gemini
)
_OTHER_KINDS = ("embed", "rerank", "moderation", "image", "audio", "transcri", "video", "speech")


@dataclass(frozen=True)
class ListedModel:
    """A model as its provider lists it.

    Attributes:
        id: Behind the provider's name in the handle.
        context_window: Tokens it can take, None where the provider does not say.
        embeds: Whether it embeds text, None where the provider does not say.
        is_language_model: Whether it talks, None where the provider does not say.
    """

    id: str
    context_window: int | None = None
    embeds: bool | None = None
    is_language_model: bool | None = None


async def list_models(provider: Provider) -> list[ListedModel] | None:
    """Ask a provider for its models, within seconds.

    Returns:
        None where it has no list that could be asked for.

    Raises:
        ModelError: It refuses the key, cannot be reached, or answers with something else.
    """
    provider.check_usable()
    if provider.models is not None:
        return [ListedModel(id_, provider.context_window) for id_ in provider.models]
    ask = _WAYS.get(_listing_of(provider))
    if ask is None:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S), open_session(judge_of(provider)) as session:
            found = await ask(_Asker(provider, session))
    except _NoList:
        return None
    except TimeoutError as error:
        raise unreachable(provider, error, timed_out=True) from error
    except aiohttp.ClientError as error:
        raise unreachable(provider, error, timed_out=False) from error
    except (ReplyOutOfBounds, UnknownEncoding) as error:
        raise out_of_bounds(provider, error) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            "llm_error", f"The provider {provider.name} answered with no list of models."
        ) from error
    return list({model.id: model for model in found if model.id}.values())[:MAX_MODELS]


def _listing_of(provider: Provider) -> Listing:
    kind = PROVIDER_TYPES.get(provider.provider_type)
    if provider.wire == "anthropic":
        return "anthropic"
    return kind.listing if kind else "openai"


class _NoList(Exception):
    """The provider has no list."""


class _Asker:
    """One provider, asked over one session."""

    def __init__(self, provider: Provider, session: aiohttp.ClientSession) -> None:
        self.base_url = provider.base_url.rstrip("/")
        self._provider = provider
        self._session = session
        self._key = provider.api_key.get_secret_value() if provider.api_key else ""

    @property
    def bearer(self) -> dict[str, str]:
        """The header with the key, none where there is no key."""
        return self.key_in("authorization", "Bearer ")

    def key_in(self, header: str, before: str = "") -> dict[str, str]:
        """A header with the key."""
        return {header: f"{before}{self._key}"} if self._key else {}

    async def get(self, url: str, headers: Mapping[str, str]) -> Any:
        """The JSON at an address; see `_ask`."""
        return await self._ask("GET", url, headers)

    async def post(self, url: str, body: Any) -> Any:
        """The JSON that answers a body; see `_ask`."""
        return await self._ask("POST", url, self.bearer, body)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: Any = None
    ) -> Any:
        """What is answered.

        Raises:
            ModelError: It is refused.
            _NoList: There is nothing at this address.
        """
        async with self._session.request(
            method,
            url,
            headers=headers,
            json=body,
            proxy=proxy_of(self.base_url),
            allow_redirects=False,
        ) as response:
            if response.status in _NO_LIST:
                raise _NoList
            if response.status >= 300:
                text = await error_text(response)
                raise refused(self._provider, response.status, text, response.headers)
            content = await whole_body(body_of(response))
        check_json_text(content)
        return from_json(content)


async def _of_openai(asker: _Asker) -> list[ListedModel]:
    return _listed(await asker.get(f"{asker.base_url}/models", asker.bearer))


async def _of_anthropic(asker: _Asker) -> list[ListedModel]:
    headers = {"anthropic-version": "2023-06-01"} | asker.key_in("x-api-key")
    found: list[ListedModel] = []
    url = f"{asker.base_url}/v1/models?limit=1000"
    after = ""
    for _ in range(_MAX_PAGES):
        page = await asker.get(url + after, headers)
        found += _listed(page)
        last = page.get("last_id") if isinstance(page, dict) and page.get("has_more") else None
        if not last:
            break
        after = f"&after_id={quote(str(last))}"
    return found


async def _of_gemini(asker: _Asker) -> list[ListedModel]:
    found: list[ListedModel] = []
    after = ""
    for _ in range(_MAX_PAGES):
        url = f"{asker.base_url}/v1beta/models?pageSize=1000{after}"
        page = await asker.get(url, asker.key_in("x-goog-api-key"))
        for item in page.get("models") or []:
            methods = item.get("supportedGenerationMethods")
            found.append(
                ListedModel(
                    str(item["name"]).removeprefix("models/"),
                    _context_of(item),
                    None if methods is None else "embedContent" in methods,
                    None if methods is None else "generateContent" in methods,
                )
            )
        if not page.get("nextPageToken"):
            break
        after = f"&pageToken={quote(str(page['nextPageToken']))}"
    return found


async def _of_ollama(asker: _Asker) -> list[ListedModel]:
    """Its list has no sizes: each model is asked for its own."""
    listed = await asker.get(f"{asker.base_url}/api/tags", asker.bearer)
    names = [str(item.get("name") or item["model"]) for item in listed.get("models") or []]
    room = asyncio.Semaphore(_SHOWN_AT_ONCE)

    async def look(name: str) -> ListedModel:
        async with room:
            try:
                shown = await asker.post(f"{asker.base_url}/api/show", {"model": name})
            except (_NoList, ModelError, ValueError, aiohttp.ClientError):
                return ListedModel(name)
        return _ollama_model(name, shown)

    return await asyncio.gather(*map(look, names[:MAX_MODELS]))


def _ollama_model(name: str, shown: Any) -> ListedModel:
    info = (shown.get("model_info") or {}) if isinstance(shown, dict) else {}
    sizes = (value for key, value in info.items() if key.endswith(".context_length"))
    can = shown.get("capabilities") if isinstance(shown, dict) else None
    return ListedModel(
        name,
        _size(next(sizes, None)),
        "embedding" in can if can else None,
        "completion" in can if can else None,
    )


async def _of_azure(asker: _Asker) -> list[ListedModel]:
    """Its deployments: models are called by the names that these were given."""
    url = f"{asker.base_url}/openai/deployments?api-version={_AZURE_LISTING}"
    listed = await asker.get(url, asker.key_in("api-key"))
    return _listed(listed)


async def _of_lmstudio(asker: _Asker) -> list[ListedModel]:
    """Its own list has sizes and kinds; releases before it had one speak OpenAI's."""
    root = asker.base_url.removesuffix("/v1")
    try:
        return _listed(await asker.get(f"{root}/api/v0/models", asker.bearer))
    except _NoList:
        return await _of_openai(asker)


def _listed(found: Any) -> list[ListedModel]:
    """The models of a list in OpenAI's form, or nearly: some servers send a bare array."""
    items = found
    if isinstance(found, dict):
        items = found.get("data")
        if items is None:
            items = found.get("models")
    if not isinstance(items, list):
        raise TypeError("no list")
    return [_model_of(item) for item in items if isinstance(item, str | dict)]


def _model_of(item: str | dict[str, Any]) -> ListedModel:
    if isinstance(item, str):
        return ListedModel(item)
    kind = item.get("type") if isinstance(item.get("type"), str) else None
    embeds, talks = None, None
    if kind not in (None, "model"):
        embeds = "embed" in str(kind)
        talks = not any(sign in str(kind) for sign in _OTHER_KINDS)
    can = item.get("capabilities")
    if isinstance(can, dict) and isinstance(can.get("completion_chat"), bool):  # Mistral
        talks = can["completion_chat"]
    return ListedModel(
        str(item.get("id") or item.get("name") or ""), _context_of(item), embeds, talks
    )


def _context_of(item: Mapping[str, Any]) -> int | None:
    meta = item.get("meta")
    values: Iterable[Any] = (item.get(name) for name in _CONTEXT_FIELDS)
    if isinstance(meta, dict):  # llama.cpp: what it was started with, else what it was trained with
        values = (*values, meta.get("n_ctx"), meta.get("n_ctx_train"))
    return next((size for size in map(_size, values) if size), None)


def _size(value: Any) -> int | None:
    """A count of tokens; what is no count that could be meant is None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 256 <= value <= 100_000_000 else None


_WAYS: dict[Listing, Callable[[_Asker], Any]] = {
    "openai": _of_openai,
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
    "ollama": _of_ollama,
    "azure": _of_azure,
    "lmstudio": _of_lmstudio,
}
