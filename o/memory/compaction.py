"""What a compaction takes out of a window, how large its summary may be, and what stands for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from o.domain.agents import Agent
from o.domain.compaction import CompactionSettings
from o.domain.messages import Message, Role
from o.memory.context import shown_alone
from o.memory.tokens import message_tokens
from o.memory.window import Cut, cut_window

FULL_SHARE = 0.9
"""A prompt that takes more of the context window than this is compacted first, as in V1."""

REFUSED_SHARE = 0.7
"""What is left to a prompt that a provider found too long, of what it took."""

_SUMMARY_SHARE = 0.2
_LEAST_SUMMARY = 64
_EXCERPT_CHARS = 300
_CUT_NOTE = "\n(The rest was left out, to fit the context window.)"
_NOTE_TOKENS = 120  # what a packed summary takes beside the summary


@dataclass(frozen=True)
class Plan:
    """A compaction before its summary is written.

    Attributes:
        cut: What goes.
        summary_tokens: What the summary may take.
        scale: Tokens of the model for each that is counted here.
        before: What the prompt takes now.
        kept_tokens: What of it stays, the system message and tools included.
        gone_tokens: What of it goes, but for an earlier summary.
    """

    cut: Cut
    summary_tokens: int
    scale: float
    before: int
    kept_tokens: int
    gone_tokens: int

    @property
    def is_worth_it(self) -> bool:
        """Whether the prompt gets shorter by it."""
        return self.cut.at > 0 and self.gone_tokens > _NOTE_TOKENS * self.scale

    def fit(self, text: str, most: int | None = None) -> str:
        """A text cut to what the summary may take, or to `most` tokens."""
        return fit_tokens(text, int((most or self.summary_tokens) / self.scale))


def plan_compaction(
    agent: Agent,
    window: Sequence[Message],
    settings: CompactionSettings,
    *,
    fixed: int,
    before: int = 0,
    counted: int = 0,
    refused: bool = False,
    run_id: str | None = None,
) -> Plan:
    """Choose what goes.

    Args:
        agent: Whose context window it is.
        window: Its messages, without the system message and the summary.
        settings: How.
        fixed: What the system message and the tools take, as counted here.
        before: What the summary takes that stands there now.
        counted: What the whole prompt was counted to take, with all that is known of its model;
            0 where nothing is known.
        refused: Whether the provider found the prompt too long: it takes less than was thought.
        run_id: The run under way.
    """
    shown = [shown_alone(agent, message) for message in window]
    tokens = [message_tokens(one) if one else 0 for one in shown]
    total = fixed + before + sum(tokens)
    scale = counted / total if counted and total else 1.0
    limit = agent.context_window
    if refused:
        limit = min(limit, int(REFUSED_SHARE * (counted or total)))
    base = round(fixed * scale)
    room = int((1 - settings.sliding_window_percentage) * limit) - base
    most = max(_LEAST_SUMMARY, min(int(_SUMMARY_SHARE * limit), room // 2))
    real = [round(count * scale) for count in tokens]
    goal = max(0, room - most)
    cut = cut_window(window, real, goal=goal, keep_none=settings.keeps_none, run_id=run_id)
    kept = base + sum(real[cut.at :])
    left = int(FULL_SHARE * limit) - kept - round(_NOTE_TOKENS * scale)
    return Plan(
        cut,
        summary_tokens=max(_LEAST_SUMMARY, min(most, left)),
        scale=scale,
        before=counted or total,
        kept_tokens=kept,
        gone_tokens=sum(real[: cut.at]),
    )


def fit_tokens(text: str, most: int) -> str:
    """The beginning of a text that takes more tokens than `most`, with a note behind it."""
    tokens = text_tokens(text)
    if tokens <= most:
        return text
    room = max(1, most - text_tokens(_CUT_NOTE))
    while tokens > room and text:
        text = text[: min(len(text) - 1, int(len(text) * room / tokens))]
        tokens = text_tokens(text)
    return text.rstrip() + _CUT_NOTE


def excerpts(agent: Agent, gone: Sequence[Message], before: str | None) -> str:
    """What stands for messages of which no summary could be made: the beginnings of the newest.

    Args:
        agent: Whose they are.
        gone: The messages, oldest first.
        before: The summary that stood there.
    """
    said = []
    for message in reversed(gone):
        if message.role in (Role.USER, Role.ASSISTANT) and message.text:
            text = " ".join(message.text[: 2 * _EXCERPT_CHARS].split())
            said.append(f"{message.role.value}: {text[:_EXCERPT_CHARS]}")
    parts = ["(No summary could be made. These are the beginnings of what was said, newest first.)"]
    earlier = [f"Before that, as an earlier summary has it:\n{before}"] if before else []
    return "\n".join([*parts, *said[:40], *earlier])


def with_request(summary: str, request: Sequence[Message], plan: Plan) -> str:
    """A summary with what the user asked of the run under way, word by word."""
    if not request:
        return summary
    asked = plan.fit("\n".join(message.text for message in request), 2 * plan.summary_tokens)
    return f"{summary}\n\nThe request that is being worked on, word by word:\n{asked}"


def stats_of(
    agent: Agent, trigger: str, *, before: int, after: int, messages: tuple[int, int]
) -> dict[str, Any]:
    """V1's `CompactionStats`.

    Args:
        agent: Whose window it is.
        trigger: Why, in V1's words.
        before: Tokens of the prompt.
        after: What it takes now.
        messages: How many messages were in the prompt and are now, the system message included.
    """
    return {
        "trigger": trigger,
        "context_tokens_before": before,
        "context_tokens_after": after,
        "context_window": agent.context_window,
        "messages_count_before": messages[0],
        "messages_count_after": messages[1],
    }


def text_tokens(text: str) -> int:
    """What a text takes as a message."""
    return message_tokens({"role": "user", "content": text})
