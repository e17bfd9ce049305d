"""The language models of all providers behind one door: a handle says which wire to speak."""

import asyncio
from collections import Counter
from typing import Protocol

from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import ModelError, NotFound, ProviderFull
from o.llm.failures import unreachable
from o.llm.providers import Provider, Providers
from o.llm.wires.openai import OpenAIWire

OPENAI = "openai"


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

    def __init__(self, providers: Providers, *, timeout_s: float, calls_at_once: int = 100) -> None:
        """Load the wires that the providers speak, which may take seconds of blocking work.

        Args:
            providers: Which there are.
            timeout_s: How long a call may take, to its last word.
            calls_at_once: How many calls to one provider may be under way here.
        """
        self._providers = providers
        self._timeout_s = timeout_s
        self._calls_at_once = calls_at_once
        self._under_way: Counter[str] = Counter()
        self._wires: dict[str, Wire] = {OPENAI: OpenAIWire()}
        others = {provider.wire for provider in providers.all()} - {OPENAI}
        if others:
            from o.llm.wires.through_litellm import LiteLLMWires  # noqa: PLC0415  180 MB, not for everyone

            self._wires |= dict.fromkeys(others, LiteLLMWires(timeout_s=timeout_s))

    async def warm_up(self) -> None:
        """Do now what first calls would take long for."""
        for wire in set(self._wires.values()):
            await wire.warm_up()

    async def close(self) -> None:
        """Close the connections to all providers; a call that comes later opens others."""
        for wire in set(self._wires.values()):
            await wire.close()

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`.

        A provider that hangs would take every slot of a worker, so that nobody else is served:
        whoever finds as many calls under way as may be is told at once, and comes again.

        Raises:
            ProviderFull: There is no room for another call to this provider.
        """
        try:
            provider, model = self._providers.resolve(request.handle)
        except NotFound as error:
            raise ModelError("llm_bad_request", error.message, status=400) from error
        if self._under_way[provider.name] >= self._calls_at_once:
            raise ProviderFull(provider.name)
        self._under_way[provider.name] += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._wires[provider.wire].complete(provider, model, request, on_delta)
        except TimeoutError as error:
            raise unreachable(provider, error, timed_out=True) from error
        finally:
            self._under_way[provider.name] -= 1
