"""Summaries of what leaves a window: by a model where one gives any, else by what was said."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from temporalio import activity

from activities.compaction.room import Room
from activities.counting import count_usage
from activities.errors import model_failure, pause_before_retry
from o.domain.compaction import CompactionSettings
from o.domain.llm import LanguageModel, ModelRequest
from o.domain.messages import Message
from o.domain.text import storable
from o.errors import ModelError
from o.memory.compaction import Plan, excerpts
from o.memory.summariser import self_request, transcript_request
from o.storage.database import Database

WindowOf = Callable[[str, str], Awaitable[int | None]]
"""Tokens that a model of an organization reads, None where nobody knows: (organization, handle)."""


@dataclass(frozen=True)
class SummaryLimits:
    """What is borne of a model that writes summaries.

    Attributes:
        timeout_s: How long it may take in all.
        attempts: How often one is asked that is busy or down.
    """

    timeout_s: float = 120.0
    attempts: int = 3


class Summaries:
    """Writes summaries. What goes wrong with a model makes them worse, and never fails them."""

    def __init__(
        self,
        model: LanguageModel,
        database: Database,
        window_of: WindowOf,
        limits: SummaryLimits,
    ) -> None:
        self._model = model
        self._database = database
        self._window_of = window_of
        self._limits = limits

    async def of(
        self, room: Room, gone: Sequence[Message], settings: CompactionSettings, plan: Plan
    ) -> str:
        """The summary of messages that go, no longer than it may be.

        Raises:
            ApplicationError: A model is busy or away, and is asked again in a moment.
        """
        text = await self._written(room, gone, settings, plan)
        if not text:
            text = excerpts(room.agent, gone, room.summary)
        return plan.fit(text[: settings.clip_chars])

    async def _written(
        self, room: Room, gone: Sequence[Message], settings: CompactionSettings, plan: Plan
    ) -> str:
        """What a model wrote, empty where none did: the one that was chosen, else the agent's."""
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                if settings.by_agent:
                    request = self_request(
                        room.agent, room.handle, room.chat(), room.tools, settings, plan=plan
                    )
                    if text := await self._ask(room, request):
                        return text
                handles = [settings.model, room.handle] if settings.model else [room.handle]
                for handle in dict.fromkeys(handles):
                    request = transcript_request(
                        room.agent,
                        handle,
                        gone,
                        settings,
                        before=room.summary,
                        plan=plan,
                        window=await self._window(room, handle),
                    )
                    if text := await self._ask(room, request):
                        return text
        except TimeoutError:
            activity.logger.warning("no summary in time", extra={"model": room.handle})
        return ""

    async def _window(self, room: Room, handle: str) -> int:
        """What the model reads; the agent's window where it is its model, or nobody knows."""
        if handle == room.handle:
            return room.agent.context_window
        known = await self._window_of(room.agent.organization_id, handle)
        return known or room.agent.context_window

    async def _ask(self, room: Room, request: ModelRequest) -> str:
        """What a model answers, empty where it fails for good or says nothing."""
        try:
            reply = await self._model.complete(request)
        except ModelError as error:
            self._raise_if_it_may_help(error)
            facts = {"model": request.handle, "kind": error.kind}
            activity.logger.warning("no summary was written", extra=facts)
            return ""
        agent = room.agent
        await count_usage(
            self._database, agent.organization_id, agent.id, request.handle, reply.usage
        )
        return storable(reply.text).strip()

    def _raise_if_it_may_help(self, error: ModelError) -> None:
        attempt = activity.info().attempt
        if error.retryable and attempt < self._limits.attempts:
            pause = pause_before_retry(error, attempt)
            raise model_failure(error.kind, error.status, retry_in=pause)
