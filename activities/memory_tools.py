"""The built-in tools: edits of core memory and the search of recall memory.

Each runs inside the transaction that commits its return, so its effect happens once.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.messages import Message, Role
from o.domain.text import storable_json
from o.errors import NotFound, ToolFailed
from o.memory import edits
from o.memory.prompt import local_time, zone_of
from o.storage.agent_blocks import get_agent_block
from o.storage.blocks import change_block
from o.storage.messages import search_messages

_Arguments = TypeVar("_Arguments", bound=BaseModel)
_MAX_RESULTS = 50


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class InsertArguments(_Strict):
    """Arguments of `memory_insert`."""

    label: str
    new_string: str
    insert_line: int = -1


class ReplaceArguments(_Strict):
    """Arguments of `memory_replace`."""

    label: str
    old_string: str
    new_string: str


class SearchArguments(_Strict):
    """Arguments of `conversation_search`."""

    query: str | None = None
    roles: list[Role] | None = None
    limit: int | None = None
    start_date: str | None = None
    end_date: str | None = None


class Tool(Generic[_Arguments]):
    """A built-in tool: what it takes and what it does."""

    def __init__(
        self,
        arguments: type[_Arguments],
        run: Callable[[AsyncConnection, Agent, _Arguments], Awaitable[str]],
    ) -> None:
        self._arguments = arguments
        self._run = run

    async def __call__(
        self, connection: AsyncConnection, agent: Agent, arguments: dict[str, Any]
    ) -> str:
        """Run with arguments as the model gave them.

        Raises:
            ToolFailed: The arguments do not fit, or the tool refused; for the model to read.
        """
        try:
            parsed = self._arguments.model_validate(storable_json(arguments))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise ToolFailed(f"The arguments do not fit: {problems}.") from None
        return await self._run(connection, agent, parsed)


async def memory_insert(
    connection: AsyncConnection, agent: Agent, arguments: InsertArguments
) -> str:
    """Insert text into a block; returns the block's new value, as V1 does."""
    block = await _block_to_edit(connection, agent, arguments.label)
    value = edits.insert(block.value, arguments.new_string, arguments.insert_line)
    return await _store(connection, agent, block, value)


async def memory_replace(
    connection: AsyncConnection, agent: Agent, arguments: ReplaceArguments
) -> str:
    """Replace text in a block; returns the block's new value, as V1 does."""
    block = await _block_to_edit(connection, agent, arguments.label)
    value = edits.replace(block.value, arguments.old_string, arguments.new_string)
    return await _store(connection, agent, block, value)


async def conversation_search(
    connection: AsyncConnection, agent: Agent, arguments: SearchArguments
) -> str:
    """Search the agent's messages; returns V1's JSON of results, the newest first."""
    default_roles = [Role.USER, Role.ASSISTANT]
    found = await search_messages(
        connection,
        agent.id,
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


BUILT_IN: dict[str, Tool[Any]] = {
    "memory_insert": Tool(InsertArguments, memory_insert),
    "memory_replace": Tool(ReplaceArguments, memory_replace),
    "conversation_search": Tool(SearchArguments, conversation_search),
}


async def _block_to_edit(connection: AsyncConnection, agent: Agent, label: str) -> Block:
    try:
        block = await get_agent_block(connection, _owner(agent), agent.id, label, lock=True)
    except NotFound:
        raise ToolFailed(f"There is no memory block with the label {label!r}.") from None
    if block.read_only:
        raise ToolFailed("Error This block is read-only and cannot be edited.")
    return block


async def _store(connection: AsyncConnection, agent: Agent, block: Block, value: str) -> str:
    changes = {"value": value}
    await change_block(connection, _owner(agent), block.id, changes, changed_by=agent.id)
    return value


def _owner(agent: Agent) -> Actor:
    return Actor(organization_id=agent.organization_id)


def _result(agent: Agent, message: Message, now: datetime) -> dict[str, Any]:
    content = message.text or (message.tool_return.content if message.tool_return else "")
    return {
        "timestamp": local_time(message.created_at, agent.timezone),
        "time_ago": _ago(now - message.created_at),
        "role": message.role.value,
        "content": content,
    }


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
