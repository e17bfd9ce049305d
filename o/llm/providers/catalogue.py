"""The models that an organization's providers offer, asked for and remembered for a minute."""

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase

from o.domain.agents import DEFAULT_CONTEXT_WINDOW
from o.domain.embedding import LOCAL_EMBEDDING
from o.errors import ModelError, NotFound
from o.llm.embedding.local import is_installed
from o.llm.providers.listing import ListedModel, list_models
from o.llm.providers.providers import ANY_MODEL, LOCAL, Provider, ProviderSet, ProviderSource

_log = logging.getLogger(__name__)
_FRESH_S = 60.0
_AWAY_S = 5.0
"""How long a provider that did not tell is left alone: each time, somebody waits for it."""

_FORGOTTEN_S = 600.0
"""After how long the answer of a provider is dropped that nobody asks for any more."""

OPENAI_EMBEDDINGS = frozenset(
    f"openai/text-embedding-{name}" for name in ("3-small", "3-large", "ada-002")
)
"""What V1 lists as embedding models of `openai`, whatever its address answers."""

_EMBEDDING = re.compile(r"embed(?!ded)|minilm|(?:^|[/:_.-])(?:bge|gte|e5)-", re.IGNORECASE)


def embeds_text(model: str) -> bool:
    """Whether a model's id is that of one which embeds text, as far as names tell.

    Lists of OpenAI and servers like its own hold both kinds and say of neither which it is.
    """
    return _EMBEDDING.search(model) is not None


@dataclass(frozen=True)
class CatalogueEntry:
    """One model: its handle is `<provider name>/<id>`.

    Attributes:
        model: Its id at the provider.
        listed_window: Tokens that it takes, as the provider says; None where it does not.
        embeds: Whether it embeds text rather than talks.
    """

    provider: Provider
    model: str
    listed_window: int | None = None
    embeds: bool = False

    @property
    def handle(self) -> str:
        """How agents name it."""
        return f"{self.provider.name}/{self.model}"

    @property
    def max_context_window(self) -> int:
        """Tokens that the model takes."""
        return self.listed_window or self.provider.context_window

    @property
    def context_window(self) -> int:
        """Tokens that an agent gets unless it asks otherwise; V1 caps them by default."""
        return min(self.max_context_window, DEFAULT_CONTEXT_WINDOW)


LOCAL_ENTRY = CatalogueEntry(
    Provider(LOCAL, "openai", LOCAL, ""), LOCAL_EMBEDDING.partition("/")[2], embeds=True
)
"""The embedding model that comes with the server. No address has it: workers run it."""


@dataclass(frozen=True)
class ProviderState:
    """How a provider stands.

    Attributes:
        count: How many language models it lists; None where it has no list, or did not answer.
        problem: Why it did not answer, for people; empty if it did.
    """

    provider: Provider
    count: int | None
    problem: str = ""


@dataclass(frozen=True)
class ProviderAnswer:
    """What a provider said when it was asked for its models.

    Attributes:
        models: None where it has no list, or did not answer.
        problem: Why it did not, for people; empty if it did.
        asked_at: By the monotonic clock.
    """

    models: list[ListedModel] | None
    problem: str = ""
    asked_at: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether it need not be asked again yet."""
        return time.monotonic() - self.asked_at <= (_AWAY_S if self.problem else _FRESH_S)


class Catalogue:
    """Answers which models there are."""

    def __init__(self, providers: ProviderSource) -> None:
        self._providers = providers
        # By the provider as a whole: one that was changed is asked anew.
        self._known: dict[Provider, ProviderAnswer] = {}

    async def list_models(self, organization_id: str = "") -> list[CatalogueEntry]:
        """Every language model of every provider; one that cannot be asked adds none."""
        return [entry for entry in await self._entries(organization_id) if not entry.embeds]

    async def list_embedding_models(self, organization_id: str = "") -> list[CatalogueEntry]:
        """Every model that embeds text, the local one first."""
        found = [entry for entry in await self._entries(organization_id) if entry.embeds]
        return [LOCAL_ENTRY, *found] if is_installed() else found

    async def survey(self, organization_id: str = "") -> list[ProviderState]:
        """How each provider stands, in the providers' order."""
        known = await self._providers.providers_of(organization_id)
        return [
            ProviderState(
                provider,
                None
                if answer.models is None
                else sum(not entry.embeds for entry in _entries_of(provider, answer)),
                answer.problem,
            )
            for provider, answer in await self._answers(known)
        ]

    async def get(self, handle: str, organization_id: str = "") -> CatalogueEntry:
        """The model by that handle. One of a provider that does not answer is taken on trust.

        V1's own handles (`letta/auto`) mean the default model, else the first that is there.

        Raises:
            NotFound: No such provider is set up, or it says that it has no such model.
        """
        if handle == LOCAL_EMBEDDING and is_installed():
            return LOCAL_ENTRY
        known = await self._providers.providers_of(organization_id)
        if handle in ANY_MODEL and known.get("letta") is None and known.default_model is None:
            return await self._first(known, handle)
        provider, model = known.resolve(handle)
        answer = await self._answer_of(provider)
        if answer.models is None:
            return CatalogueEntry(provider, model)
        listed = {entry.model: entry for entry in _entries_of(provider, answer, all_kinds=True)}
        if model in listed:
            return listed[model]
        if provider.wire == "ollama" and ":" not in model and f"{model}:latest" in listed:
            entry = listed[f"{model}:latest"]
            return CatalogueEntry(provider, model, entry.listed_window, entry.embeds)
        if any("*" in one and fnmatchcase(model, one) for one in listed):  # LiteLLM's proxy
            return CatalogueEntry(provider, model)
        raise NotFound(f"Handle {handle} not found: {provider.name} offers no such model")

    async def check_embedding(self, handle: str, organization_id: str = "") -> None:
        """See that an agent's embedding model is there.

        V1's own handles (`letta/…`) mean the default one. V1 lists OpenAI's three models at every
        address that `OPENAI_BASE_URL` names, so clients name them: where there is an `openai`, they
        are taken, and passages are found by words if it does not have them.

        Raises:
            NotFound: No such provider is set up, or it says that it has no such model.
        """
        if handle.startswith("letta/"):
            return
        try:
            await self.get(handle, organization_id)
        except NotFound:
            known = await self._providers.providers_of(organization_id)
            if handle not in OPENAI_EMBEDDINGS or known.get("openai") is None:
                raise

    async def default(self, organization_id: str = "") -> CatalogueEntry | None:
        """The model of those who name none, None where the operator has set none.

        Raises:
            NotFound: What was set is not there.
        """
        known = await self._providers.providers_of(organization_id)
        if known.default_model is None:
            return None
        return await self.get(known.default_model, organization_id)

    async def ask_anew(self, provider: Provider) -> ProviderAnswer:
        """Ask a provider now, whatever is remembered.

        Raises:
            ModelError: It did not answer, or refused its key.
        """
        self._known.pop(provider, None)
        answer = ProviderAnswer(await list_models(provider), asked_at=time.monotonic())
        self._known[provider] = answer
        return answer

    async def _first(self, known: ProviderSet, handle: str) -> CatalogueEntry:
        for provider, answer in await self._answers(known):
            for entry in _entries_of(provider, answer):
                if not entry.embeds:
                    return entry
        raise NotFound(f"Handle {handle} not found: no provider offers a model")

    async def _entries(self, organization_id: str) -> list[CatalogueEntry]:
        known = await self._providers.providers_of(organization_id)
        return [
            entry
            for provider, answer in await self._answers(known)
            for entry in _entries_of(provider, answer)
        ]

    async def _answers(self, known: ProviderSet) -> list[tuple[Provider, ProviderAnswer]]:
        providers = known.all()
        answers = await asyncio.gather(*map(self._answer_of, providers))
        return list(zip(providers, answers, strict=True))

    async def _answer_of(self, provider: Provider) -> ProviderAnswer:
        known = self._known.get(provider)
        if known is not None and known.is_fresh:
            return known
        try:
            models, problem = await list_models(provider), ""
        except ModelError as error:
            models, problem = None, error.message
            _log.warning(
                "provider did not list its models",
                extra={"provider": provider.name, "kind": error.kind},
            )
        answer = ProviderAnswer(models, problem, time.monotonic())
        self._forget_old()
        self._known[provider] = answer
        return answer

    def _forget_old(self) -> None:
        before = time.monotonic() - _FORGOTTEN_S
        for provider in [one for one, answer in self._known.items() if answer.asked_at < before]:
            del self._known[provider]


def _entries_of(
    provider: Provider, answer: ProviderAnswer, *, all_kinds: bool = False
) -> list[CatalogueEntry]:
    """The models that talk or embed; `all_kinds` has what neither does as well."""
    found = []
    for model in answer.models or ():
        embeds = embeds_text(model.id) if model.embeds is None else model.embeds
        if all_kinds or embeds or model.is_language_model is not False:
            found.append(CatalogueEntry(provider, model.id, model.context_window, embeds))
    return found
