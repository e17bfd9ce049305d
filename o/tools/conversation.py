"""The built-in tools that speak, and that search what was said."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.domain.loops import SEND_MESSAGE
from o.domain.messages import Message, Role
from o.errors import ToolFailed
from o.memory.legacy_events import SENT
from o.memory.prompt import local_time, zone_of
from o.tools.tool import Arguments, BuiltIn, Caller, Tool, integer, schema, string

_MAX_RESULTS = 50

_SEND = ToolSpec(
    name=SEND_MESSAGE,
    description="Say something to the person you talk with. They read nothing else of what you do.",
    parameters=schema({"message": string("What they read.")}, ["message"]),
)

_SEARCH = ToolSpec(
    name="conversation_search",
    description="Search everything that was said in earlier messages, also what is out of view.",
    parameters=schema(
        {
            "query": string("Text that the messages must hold; upper and lower case are alike."),
            "roles": {
                "type": "array",
                "items": {"type": "string", "enum": ["assistant", "user", "tool"]},
                "description": "Only messages from these roles. All when left out.",
            },
            "limit": integer("How many at most.", default=5),
            "start_date": string("Earliest day or time, ISO 8601, in your time zone."),
            "end_date": string("Latest day or time, ISO 8601; a bare day counts whole."),
        }
    ),
)


class SendArguments(Arguments):
    """Arguments of `send_message`."""

    message: str


class SearchArguments(Arguments):
    """Arguments of `conversation_search`."""

    query: str | None = None
    roles: list[Role] | None = None
    limit: int | None = None
    start_date: str | None = None
    end_date: str | None = None


async def _send(caller: Caller, arguments: SendArguments) -> str:
    """The call itself is what the client is shown, so there is nothing to do."""
    return SENT


async def _search(caller: Caller, arguments: SearchArguments) -> str:
    """V1's JSON of results, the newest first."""
    agent = caller.agent
    default_roles = [Role.USER, Role.ASSISTANT]
    found = await caller.memory.search_messages(
        query=arguments.query,
        roles=[role for role in arguments.roles or default_roles if role is not Role.SYSTEM],
        since=_moment(arguments.start_date, agent, end_of_day=False),
        until=_moment(arguments.end_date, agent, end_of_day=True),
        limit=max(1, min(arguments.limit or 5, _MAX_RESULTS)),
    )
    now = datetime.now(UTC)
    results = [_result(agent, message, now) for message in found]
    summary = f"Showing {len(results)} results:" if results else "No results found."
    return json.dumps({"message": summary, "results": results}, ensure_ascii=False)


CONVERSATION_TOOLS: tuple[Tool, ...] = (
    BuiltIn(_SEND, SendArguments, _send),
    BuiltIn(_SEARCH, SearchArguments, _search, only_reads=True),
)


def _result(agent: Agent, message: Message, now: datetime) -> dict[str, Any]:
    content = message.text or (
        message.tool_return.content if message.tool_return else _sent(message)
    )
    return {
        "timestamp": local_time(message.created_at, agent.timezone),
        "time_ago": _ago(now - message.created_at),
        "role": message.role.value,
        "content": content,
    }


def _sent(message: Message) -> str:
    """What an agent of the legacy loop said by this message."""
    arguments = [call.arguments for call in message.tool_calls if call.name == SEND_MESSAGE]
    try:
        return "\n".join(str(json.loads(one)["message"]) for one in arguments)
    except (ValueError, TypeError, KeyError):
        return ""


def _ago(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s}{unit} ago"
    return f"{seconds}s ago"


def _moment(text: str | None, agent: Agent, *, end_of_day: bool) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ToolFailed(f"{text!r} is no ISO 8601 date or time.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(agent.timezone))
    is_bare_day = len(text) <= len("2026-W10-1")
    if not (end_of_day and is_bare_day):
        return moment
    return moment + timedelta(days=1) if moment.date() < date.max else None
