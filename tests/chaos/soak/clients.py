"""Clients of several kinds that talk without end, and keep a record of what they were told."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from letta_client import APIError, Letta

from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

Kind = Literal["json", "tool", "steps", "tokens", "approval", "queue"]
Verdict = Literal["approve", "deny", "cancel"]

_TURNS_OF_AN_AGENT = 25
"""An agent talks this long before its client makes another: histories stay short."""


@dataclass
class Said:
    """One message that a client sent.

    Attributes:
        reply: What the model says to it.
        line: What it makes the agent note, if anything.
        verdict: What is said to the agent's request for that, where it needs one.
        place: Its place among messages that were sent one after the other without waiting.
        outcome: `answered`; `cut`, when a stream that had begun broke off; else what went wrong.
        took_s: Seconds until then.
    """

    agent_id: str
    kind: Kind
    text: str
    reply: str
    line: str | None
    outcome: str = ""
    took_s: float = 0.0
    verdict: Verdict | None = None
    place: int | None = None

    @property
    def is_noted(self) -> bool:
        """Whether the line is to be in the agent's notes."""
        return self.line is not None and self.verdict in (None, "approve")


@dataclass
class Thread:
    """An agent that one client or more talk to, until it has talked for long enough."""

    agent_id: str = ""
    turns: int = _TURNS_OF_AN_AGENT
    lock: threading.Lock = field(default_factory=threading.Lock)


class Talker(threading.Thread):
    """Sends one message after the other until told to stop; repeats a POST as the SDK does.

    Attributes:
        rules: Tool rules of its agents.
        pause_s: How long it is silent between two messages, from and to.
    """

    rules: Sequence[Any] = ()
    pause_s = (0.0, 0.3)

    def __init__(
        self,
        product: Product,
        name: str,
        kind: Kind,
        thread: Thread,
        stop: threading.Event,
        seed: str,
    ) -> None:
        super().__init__(daemon=True, name=name)
        self.said: list[Said] = []
        self.made: list[str] = []
        self.troubles: list[str] = []
        self._client: Letta = product.client(max_retries=12, timeout=90)
        self._kind: Kind = kind
        self._thread = thread
        self._stop_event = stop
        self._chance = random.Random(f"{seed} {name}")

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                agent_id = self._agent()
            except (httpx.TransportError, APIError) as error:
                self.troubles.append(f"no agent: {said_of_error(error)}")
                continue
            self._speak(agent_id)
            self._stop_event.wait(self._chance.uniform(*self.pause_s))

    def _speak(self, agent_id: str) -> None:
        """Say one thing and hear what comes of it."""
        said = self._next(agent_id)
        self.said.append(said)
        began = time.monotonic()
        try:
            said.outcome = self._send(said)
        except (httpx.TransportError, APIError) as error:
            said.outcome = said_of_error(error)
        said.took_s = time.monotonic() - began

    def _agent(self) -> str:
        """The agent to talk to, a new one when the last has talked for long enough."""
        with self._thread.lock:
            if self._thread.turns >= _TURNS_OF_AN_AGENT:
                self._thread.agent_id = self._client.agents.create(
                    model=HANDLE,
                    memory_blocks=[{"label": "notes", "value": ""}],
                    tool_rules=self.rules,
                ).id
                self.made.append(self._thread.agent_id)
                self._thread.turns = 0
            self._thread.turns += 1
            return self._thread.agent_id

    def _next(self, agent_id: str) -> Said:
        mark = f"{self.name} {len(self.said)}"
        if self._kind == "tool":
            note = call("memory_insert", label="notes", new_string=mark)
            return Said(agent_id, "tool", do(note, say(f"noted {mark}")), f"noted {mark}", mark)
        if self._kind == "tokens":
            words = f"{mark} " + " ".join(f"word{n}" for n in range(20))
            text = do(say(words) | {"pause_s": 0.01})
            return Said(agent_id, "tokens", text, words, None)
        return Said(agent_id, self._kind, mark, f"You said: {mark}", None)

    def _send(self, said: Said) -> str:
        messages = self._client.agents.messages
        if self._kind in ("json", "tool"):
            reply = messages.create(said.agent_id, input=said.text)
            return judged(reply.messages[-1].content, said)
        pieces: dict[str, str] = {}
        is_whole = False
        stream = messages.create(
            said.agent_id, input=said.text, streaming=True, stream_tokens=self._kind == "tokens"
        )
        try:
            for event in stream:
                if event.message_type == "assistant_message":
                    pieces[event.id] = pieces.get(event.id, "") + str(event.content)
                is_whole = is_whole or event.message_type == "stop_reason"
        except httpx.TransportError:
            return "cut"
        if not is_whole:
            return "cut"
        return judged(list(pieces.values())[-1] if pieces else "nothing", said)


def judged(content: object, said: Said) -> str:
    """How it went, by what was answered."""
    return "answered" if content == said.reply else f"wrong: {content!r} for {said.reply!r}"


def said_of_error(error: Exception) -> str:
    """What went wrong, in short."""
    return f"{type(error).__name__}: {str(error)[:120]}"
