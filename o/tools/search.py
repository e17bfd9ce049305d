"""The built-in tools that search: what was said, and what is kept in archives.

They only read, and so no transaction waits for them: a `ToolRunner` runs them, which asks the
functions here how a model is told what was found.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from o.domain.agents import Agent
from o.domain.archives import Passage
from o.domain.json_bounds import parse_json
from o.domain.llm import ToolSpec
from o.domain.loops import SEND_MESSAGE
from o.domain.messages import Message, Role
from o.errors import ToolFailed
from o.memory.prompt import local_time, zone_of
from o.tools.tool import Arguments, RunElsewhere, Tool, integer, schema, string

CONVERSATION_SEARCH = "conversation_search"
ARCHIVAL_SEARCH = "archival_memory_search"

_MAX_RESULTS = 50
_FEW = 5
_NOT_HERE = "Nothing was searched: this process has no access to what is stored."

_CONVERSATION = ToolSpec(
    name=CONVERSATION_SEARCH,
    description="Search everything that was said in earlier messages, also what is out of view. "
    "What fits best comes first.",
    parameters=schema(
        {
            "query": string(
                "Words to look for, in any order; rare ones count most. The newest messages when "
                "left out."
            ),
            "roles": {
                "type": "array",
                "items": {"type": "string", "enum": ["assistant", "user", "tool"]},
                "description": "Only messages from these roles. What tools return is not searched.",
            },
            "limit": integer("How many at most.", default=_FEW),
            "start_date": string("Earliest day or time, ISO 8601, in your time zone."),
            "end_date": string("Latest day or time, ISO 8601; a bare day counts whole."),
        }
    ),
)

_ARCHIVAL = ToolSpec(
    name=ARCHIVAL_SEARCH,
    description="Search your archival memory by meaning and by words. What fits best comes first.",
    parameters=schema(
        {
            "query": string("What to look for: a question, or words."),
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Only memories with these tags.",
            },
            "tag_match_mode": {
                "type": "string",
                "enum": ["any", "all"],
                "description": "Whether a memory must have any of the tags (the default), or all.",
            },
            "top_k": integer("How many at most.", default=_FEW),
            "start_datetime": string("Earliest day or time, ISO 8601, in your time zone."),
            "end_datetime": string("Latest day or time, ISO 8601; a bare day counts whole."),
        },
        ["query"],
    ),
)

SEARCH_TOOLS: tuple[Tool, ...] = (
    RunElsewhere(_CONVERSATION, _NOT_HERE, only_reads=True),
    RunElsewhere(_ARCHIVAL, _NOT_HERE, only_reads=True),
)


class ConversationSearchArguments(Arguments):
    """Arguments of `conversation_search`."""

    query: str | None = None
    roles: list[Role] | None = None
    limit: int | None = None
    start_date: str | None = None
    end_date: str | None = None


class ArchivalSearchArguments(Arguments):
    """Arguments of `archival_memory_search`."""

    query: str
    tags: list[str] | None = None
    tag_match_mode: Literal["any", "all"] | None = None
    top_k: int | None = None
    start_datetime: str | None = None
    end_datetime: str | None = None


def number_of_results(wanted: int | None) -> int:
    """How many results a model gets that asks for `wanted`; a few where it does not say."""
    return max(1, min(wanted or _FEW, _MAX_RESULTS))


def period(
    start: str | None, end: str | None, timezone: str
) -> tuple[datetime | None, datetime | None]:
    """From when, and until before when, in words of a model; a bare day at the end counts whole.

    Raises:
        ToolFailed: One is no date and no time.
    """
    since, until = _moment(start, timezone), _moment(end, timezone)
    if until is None or end is None:
        return since, until
    if len(end) > len("2026-W10-1"):
        return since, until + timedelta(microseconds=1)
    return since, until + timedelta(days=1) if until.date() < date.max else None


def said_results(agent: Agent, found: Iterable[tuple[Message, dict[str, Any]]]) -> str:
    """V1's JSON of messages, each with its relevance, empty where nothing was asked for."""
    now = datetime.now(UTC)
    results = [_said(agent, message, relevance, now) for message, relevance in found]
    summary = f"Showing {len(results)} results:" if results else "No results found."
    return json.dumps({"message": summary, "results": results}, ensure_ascii=False)


def archival_result(passage: Passage, timezone: str) -> dict[str, Any]:
    """A passage as V1 shows it to agents, with the time where they are."""
    return {
        "id": passage.id,
        "timestamp": local_time(passage.created_at, timezone),
        "content": passage.text,
        "tags": passage.tags,
    }


def _said(
    agent: Agent, message: Message, relevance: dict[str, Any], now: datetime
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "timestamp": local_time(message.created_at, agent.timezone),
        "time_ago": _ago(now - message.created_at),
        "role": message.role.value,
    }
    if relevance:
        result["relevance"] = relevance
    return result | {"content": message.text or _sent(message)}


def _sent(message: Message) -> str:
    """What an agent of the legacy loop said by this message."""
    arguments = [call.arguments for call in message.tool_calls if call.name == SEND_MESSAGE]
    try:
        return "\n".join(str(parse_json(one)["message"]) for one in arguments)
    except (ValueError, TypeError, KeyError):
        return ""


def _ago(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s}{unit} ago"
    return f"{seconds}s ago"


def _moment(text: str | None, timezone: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone_of(timezone))
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ToolFailed(f"{text[:100]!r} is no ISO 8601 date or time.") from None
    return moment
