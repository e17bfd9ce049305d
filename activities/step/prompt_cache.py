"""Prompts of the conversations that a worker served last, so that no step reads all history."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from o.domain.messages import Message
from o.memory.context import Prompt
from o.memory.fill import Counts
from o.storage.turn.opening import Mark, OpenStep

LIMIT_CHARS = 24_000_000
"""What all kept prompts may hold together; about 50 MB of memory."""


@dataclass
class Context:
    """As much of a conversation as is known here."""

    mark: Mark = field(default_factory=Mark)
    prompt: Prompt = field(default_factory=Prompt)
    counts: Counts = field(default_factory=Counts)


class Contexts:
    """Keeps prompts, the most recently used ones. Losing one costs a longer read, no more.

    The database stays the record: each step asks it for what lies behind the mark, and for
    everything when the mark is not good any more: history was changed otherwise than at its end
    (`Conversation.epoch`), or the database has lost what the mark was made of.
    """

    def __init__(self, limit_chars: int = LIMIT_CHARS) -> None:
        self._limit_chars = limit_chars
        self._chars = 0
        self._kept: OrderedDict[str, Context] = OrderedDict()

    def take(self, conversation_id: str) -> Context:
        """What is known of a conversation. It is the caller's now: two steps never share one."""
        return self._pop(conversation_id) or Context()

    def prompt(
        self,
        context: Context,
        opened: OpenStep,
        system: Message | None,
        model: str,
        request: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """The prompt of a step that has begun with `context`, which is kept for the next one.

        An agent that clears its buffer is shown the request under way, which is read whole each
        time: the run, and in `request` those that it carries on.

        Args:
            context: What was known here when the step began.
            opened: What the database answered.
            system: The head of the prompt.
            model: The handle of the model that reads it.
            request: The runs that this one carries on.
        """
        conversation = opened.conversation
        if not opened.is_continued:
            context = Context()
        forgets = opened.agent.message_buffer_autoclear
        shown = {opened.run.id, *request}
        summary = [opened.summary] if opened.summary and not opened.is_continued else []
        for message in [*summary, *opened.messages]:
            if not forgets or message.run_id in shown:
                context.prompt.add(opened.agent, message)
        if opened.attempt == 1 and not forgets:  # else an earlier attempt may still be writing
            if opened.messages:
                newest = opened.messages[-1]
                context.mark = Mark(conversation.epoch, newest.position, newest.id)
            self._keep(conversation.id, context)
        return context.prompt.chat(system, model)

    def counts(self, conversation_id: str) -> Counts:
        """How the prompt that is kept of a conversation has been counted; nothing else changes."""
        kept = self._kept.get(conversation_id)
        return kept.counts if kept else Counts()

    def _pop(self, conversation_id: str) -> Context | None:
        context = self._kept.pop(conversation_id, None)
        if context is not None:
            self._chars -= context.prompt.chars
        return context

    def _keep(self, conversation_id: str, context: Context) -> None:
        self._pop(conversation_id)  # of a step that was at it at the same time
        self._kept[conversation_id] = context
        self._chars += context.prompt.chars
        while self._chars > self._limit_chars:
            _, oldest = self._kept.popitem(last=False)
            self._chars -= oldest.prompt.chars
