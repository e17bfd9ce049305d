"""Summaries as models read them: V1's packed form, which says what is hidden and what it was."""

import json
from datetime import datetime
from typing import Any

from o.domain.agents import Agent, Conversation
from o.domain.json_bounds import parse_json
from o.domain.messages import Message, Role, TextPart
from o.memory.prompt import local_time

_SPLIT = "\n\n"


def summary_message(
    agent: Agent,
    conversation: Conversation,
    message_id: str,
    text: str,
    now: datetime,
    *,
    run_id: str | None,
) -> Message:
    """The message of a compaction, at position 0 until it is stored."""
    return Message(
        id=message_id,
        organization_id=agent.organization_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        run_id=run_id,
        position=0,
        role=Role.SUMMARY,
        parts=[TextPart(text=text)],
        created_at=now,
    )


def packed_summary(
    summary: str, *, hidden: int, stats: dict[str, Any], now: datetime, timezone: str
) -> str:
    """A summary in V1's packed form of a `system_alert`.

    Args:
        summary: What the model is to know of what is hidden.
        hidden: How many messages that is, those that were hidden before included.
        stats: V1's `CompactionStats`.
        now: When it was made.
        timezone: The agent's.
    """
    note = (
        f"Note: {hidden} earlier messages of this conversation are hidden from view, because the "
        "context window holds no more. They are kept, and conversation_search finds them. This is "
        "a summary of them:"
    )
    told = {
        "type": "system_alert",
        "message": f"{note}{_SPLIT}{summary}",
        "time": local_time(now, timezone),
        "compaction_stats": stats,
    }
    return json.dumps(told, ensure_ascii=False)


def unpacked_summary(text: str) -> tuple[str, dict[str, Any] | None]:
    """The summary of a packed one, and its statistics; a text that is none stands for itself."""
    try:
        told = parse_json(text)
        note, stats = str(told["message"]), told.get("compaction_stats")
    except (ValueError, TypeError, KeyError):
        return text, None
    return note.partition(_SPLIT)[2] or note, stats
