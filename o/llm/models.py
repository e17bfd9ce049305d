"""The language models of all providers behind one door: a handle says which wire to speak."""

import asyncio
from collections import Counter
from contextvars import Context
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import Failure, ModelError, NotFound, ProviderFull
from o.llm import tool_calling
from o.llm.failures import unreachable
from o.llm.providers.bundled import BundledModel
from o.llm.providers.prices import Prices
from o.llm.providers.provider_types import OPENAI_HOST
from o.llm.providers.providers import Provider, ProviderSource
from o.llm.requests.learnt import Learnt
from o.llm.wires.azure import AzureWire
from o.llm.wires.ollama import OllamaWire
from o.llm.wires.openai import OpenAIWire
from o.llm.wires.responses import ResponsesWire
from o.llm.wires.responses_request import needs_responses

OPENAI, RESPONSES = "openai", "responses"


class Wire(Protocol):
    """A way to ask providers that all speak alike."""

    async def complete(
        self, provider: Provider, model: str, request: ModelRequest, on_delta: DeltaSink | None
    ) -> ModelReply:
        """Ask a provider's model once; see `LanguageModel.complete`."""
        ...

    async def warm_up(self) -> None:
        """Do now what the first call would take long for."""
        ...

    async def close(self) -> None:
        """Close the connections; a call that comes later opens others."""
        ...


class Models:
    """A `LanguageModel` that reaches every provider."""

    def __init__(
        self,
        providers: ProviderSource,
        *,
        timeout_s: float,
        calls_at_once: int = 100,
        calls_in_all: int = 1_600,
        prices: Prices | None = None,
        learnt: Learnt | None = None,
    ) -> None:
        """Know where to ask who there is.

        Args:
            providers: Knows which there are when a call is made.
            timeout_s: How long a call may take, to its last word.
            calls_at_once: How many calls to one provider may be under way here.
            calls_in_all: How many to all of them.
            prices: What they cost; None where the operator says nothing of it.
            learnt: What models have been found to refuse; None where nothing is known yet.
        """
        self._providers = providers
        self._timeout_s = timeout_s
        self._calls_at_once = calls_at_once
        self._calls_in_all = calls_in_all
        self._prices = prices or Prices()
        self._under_way: Counter[tuple[str, str]] = Counter()
        self._learnt = learnt or Learnt()
        self._bundled = BundledModel()
        openai = OpenAIWire()
        self._plain: dict[str, OpenAIWire] = {
            OPENAI: openai,
            "mistral": openai,
            "azure": AzureWire(),
            "ollama": OllamaWire(),
            RESPONSES: ResponsesWire(),
        }
        self._others: asyncio.Task[Wire] | None = None

    async def warm_up(self) -> None:
        """Do now what the first call of a wire over plain HTTP would take long for."""
        for wire in self._plain.values():
            await wire.warm_up()

    async def close(self) -> None:
        """Close the connections to all providers; a call that comes later opens others."""
        for wire in self._plain.values():
            await wire.close()
        others = self._others
        if others and others.done() and not (others.cancelled() or others.exception()):
            await others.result().close()

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Ask; see `LanguageModel.complete`. A request that is refused is mended (`o.llm.careful`).

        A provider that hangs would take every slot of a worker, so that nobody else is served:
        whoever finds as many calls under way as may be is told at once, and comes again.

        Raises:
            ProviderFull: There is no room for another call to this provider.
        """
        known = await self._providers.providers_of(request.organization_id, request.providers_mark)
        try:
            provider, model = known.resolve(request.handle)
        except NotFound as error:
            raise ModelError(
                "llm_bad_request", error.message, status=400, failure=Failure.NOT_FOUND
            ) from error
        provider.check_usable()
        who = (provider.organization_id, provider.name)
        is_full = self._under_way.total() >= self._calls_in_all
        if is_full or self._under_way[who] >= self._calls_at_once:
            raise ProviderFull(provider.name)
        self._under_way[who] += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._bundled.until_loaded(provider)
                wire = await self._wire(wire_of(provider, model, request))
                ask = partial(wire.complete, provider, model)
                reply = await tool_calling.complete(
                    provider, model, request, self._learnt, ask, on_delta
                )
            return await self._priced(provider, model, reply)
        except TimeoutError as error:
            raise unreachable(provider, error, timed_out=True) from error
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:  # names come and go
                del self._under_way[who]

    async def _priced(self, provider: Provider, model: str, reply: ModelReply) -> ModelReply:
        cost_nano = await self._prices.cost_nano(provider, model, reply.usage)
        usage = reply.usage.model_copy(update={"cost_nano": cost_nano})
        return reply.model_copy(update={"usage": usage})

    async def _wire(self, name: str) -> Wire:
        """The wire by its name. Those of litellm are loaded by whoever first asks for one.

        That takes seconds, in a thread, so that calls under way go on and heartbeats are sent.
        """
        if name in self._plain:
            return self._plain[name]
        if self._others is None or (self._others.done() and self._others.exception()):
            loading = _load_others(self._timeout_s)
            # In a context of its own: what it does is no part of this call's trace.
            self._others = asyncio.create_task(loading, context=Context())
        return await asyncio.shield(self._others)  # a cancelled call leaves it to the others


def wire_of(provider: Provider, model: str, request: ModelRequest) -> str:
    """The wire that a call is made over: OpenAI has models that speak only its newer one.

    So does an agent whose model settings say `api: responses`.
    """
    if provider.wire != OPENAI:
        return provider.wire
    is_openai = urlsplit(provider.base_url).hostname == OPENAI_HOST
    if request.settings.get("api") == RESPONSES or (is_openai and needs_responses(model)):
        return RESPONSES
    return OPENAI


async def _load_others(timeout_s: float) -> Wire:
    def load() -> Wire:
        from o.llm.wires.through_litellm import LiteLLMWires  # noqa: PLC0415  180 MB, not for everyone

        wires = LiteLLMWires(timeout_s=timeout_s)
        asyncio.run(wires.warm_up())  # in a loop of its own, since first calls load more code
        return wires

    return await asyncio.to_thread(load)
