"""What the benchmark asks the API, each question in bytes that are made beforehand."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from bench.connection import Connection, request
from bench.provider import INSTANT, REPLY

Operation = Callable[[], Awaitable[None]]

_BLOCKS = [
    {"label": "persona", "value": "I am kind."},
    {"label": "human", "value": "Nothing is known yet."},
]
_INPUT = "How are you?"


def repeat(connection: Connection, sent: bytes, expected: str = "") -> Operation:
    """The operation that sends these bytes and expects some text in the answer."""
    mark = expected.encode()

    async def ask() -> None:
        answer = await connection.ask(sent)
        if mark not in answer.content:
            raise RuntimeError(f"{sent[:80]!r} went wrong: {answer.content[:300]!r}")

    return ask


async def create_agent(connection: Connection, model: str = INSTANT) -> str:
    """A new agent with two blocks; answers its id."""
    answer = await connection.ask(creation(model))
    created: dict[str, Any] = json.loads(answer.content)
    return str(created["id"])


def creation(model: str = INSTANT) -> bytes:
    """`create_agent` as bytes."""
    body = {"name": "bench", "model": f"openai/{model}", "memory_blocks": _BLOCKS}
    return request("POST", "/v1/agents/", body)


def turn(connection: Connection, agent_id: str) -> Operation:
    """Send a message and wait for the reply, as JSON."""
    sent = request("POST", f"/v1/agents/{agent_id}/messages", {"input": _INPUT})
    return repeat(connection, sent, REPLY)


def tool_turn(connection: Connection, agent_id: str) -> Operation:
    """The same with an agent whose model uses a memory tool first (`provider.TOOL_USER`)."""
    sent = request("POST", f"/v1/agents/{agent_id}/messages", {"input": _INPUT})
    return repeat(connection, sent, '"tool_return_message"')


def retrieve_agent(connection: Connection, agent_id: str) -> Operation:
    """The agent, with nothing included, as the official client asks by default."""
    return repeat(connection, request("GET", f"/v1/agents/{agent_id}"), agent_id)


def list_messages(connection: Connection, agent_id: str) -> Operation:
    """The newest hundred messages, which is the default."""
    return repeat(connection, request("GET", f"/v1/agents/{agent_id}/messages"), REPLY)


def update_block(connection: Connection, agent_id: str) -> Operation:
    """A new value for one of its blocks."""
    path = f"/v1/agents/{agent_id}/core-memory/blocks/human"
    return repeat(connection, request("PATCH", path, {"value": "They like tea."}), "They like tea.")


def stream_request(agent_id: str) -> bytes:
    """A message whose reply comes token by token."""
    path = f"/v1/agents/{agent_id}/messages/stream"
    return request("POST", path, {"input": _INPUT, "stream_tokens": True})
