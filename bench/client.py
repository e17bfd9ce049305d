"""What the benchmark asks the API, each question in bytes that are made beforehand."""

import asyncio
import json
import re
import time
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
_REACH_MODEL_S = 0.05

GUARDED: dict[str, Any] = {
    "tool_rules": [{"type": "requires_approval", "tool_name": "memory_insert"}]
}
"""What makes an agent whose model is `provider.TOOL_USER` ask first."""


def repeat(connection: Connection, sent: bytes, expected: str = "") -> Operation:
    """The operation that sends these bytes and expects some text in the answer."""
    mark = expected.encode()

    async def ask() -> None:
        answer = await connection.ask(sent)
        if mark not in answer.content:
            raise RuntimeError(f"{sent[:80]!r} went wrong: {answer.content[:300]!r}")

    return ask


async def create_agent(connection: Connection, model: str = INSTANT, **more: Any) -> str:
    """A new agent with two blocks, and with what else is given; answers its id."""
    answer = await connection.ask(creation(model, **more))
    created: dict[str, Any] = json.loads(answer.content)
    return str(created["id"])


def creation(model: str = INSTANT, **more: Any) -> bytes:
    """`create_agent` as bytes."""
    body = {"name": "bench", "model": f"openai/{model}", "memory_blocks": _BLOCKS}
    return request("POST", "/v1/agents/", body | more)


async def create_tool(connection: Connection) -> str:
    """The tool that the model `provider.CUSTOM_USER` calls; its id."""
    source = 'def greet() -> str:\n    """Greet."""\n    return "hello"\n'
    answer = await connection.ask(request("PUT", "/v1/tools/", {"source_code": source}))
    return str(json.loads(answer.content)["id"])


def turn(connection: Connection, agent_id: str) -> Operation:
    """Send a message and wait for the reply, as JSON."""
    sent = request("POST", f"/v1/agents/{agent_id}/messages", {"input": _INPUT})
    return repeat(connection, sent, REPLY)


def tool_turn(connection: Connection, agent_id: str) -> Operation:
    """The same with an agent whose model uses a memory tool first (`provider.TOOL_USER`)."""
    sent = request("POST", f"/v1/agents/{agent_id}/messages", {"input": _INPUT})
    return repeat(connection, sent, '"tool_return_message"')


def approved_turn(connection: Connection, agent_id: str) -> Operation:
    """The same with an agent whose tool needs approval (`GUARDED`): asked for, given, answered."""
    path = f"/v1/agents/{agent_id}/messages"
    sent = request("POST", path, {"input": _INPUT})

    async def ask_and_approve() -> None:
        asked = await connection.ask(sent)
        (call_id,) = set(re.findall(rb'"tool_call_id": ?"([^"]+)"', asked.content))
        given = {"approve": True, "tool_call_id": call_id.decode()}
        approval = {"type": "approval", "approvals": [{"type": "approval"} | given]}
        answer = await connection.ask(request("POST", path, {"messages": [approval]}))
        if REPLY.encode() not in answer.content:
            raise RuntimeError(f"the approval went wrong: {answer.content[:300]!r}")

    return ask_and_approve


async def cancel_turn(connection: Connection, other: Connection, agent_id: str) -> float:
    """Seconds from a cancel to the end of the answer that the turn's own client waits for.

    The agent's model is `provider.SILENT`, in whose hands the turn is when it is cancelled.
    """
    path = f"/v1/agents/{agent_id}/messages"
    waiting = asyncio.create_task(connection.ask(request("POST", path, {"input": _INPUT})))
    look = request("GET", f"/v1/runs/?agent_id={agent_id}&statuses=running")
    while b'"running"' not in (await other.ask(look)).content:
        await asyncio.sleep(0.01)
    await asyncio.sleep(_REACH_MODEL_S)
    began = time.perf_counter()
    await other.ask(request("POST", f"{path}/cancel"))
    answer = await waiting
    took = time.perf_counter() - began
    if b'"cancelled"' not in answer.content:
        raise RuntimeError(f"the cancel went wrong: {answer.content[:300]!r}")
    return took


async def finished_stream(connection: Connection, agent_id: str) -> bytes:
    """The request that reads the stream of a finished background run again, behind its middle."""
    path = f"/v1/agents/{agent_id}/messages/stream"
    body = {"input": _INPUT, "stream_tokens": True, "background": True}
    told = (await connection.ask(request("POST", path, body))).content
    run_id = re.findall(rb'"run_id": ?"(run-[^"]+)"', told)[0].decode()
    last = max(int(n) for n in re.findall(rb'"seq_id": ?(\d+)', told))
    return request("POST", f"/v1/runs/{run_id}/stream", {"starting_after": last // 2})


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
