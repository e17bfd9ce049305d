"""What agents of V1 have said: messages of every shape that its releases have stored."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.letta_v1.rows import V1

_BEGAN = datetime(2025, 5, 1, 12, tzinfo=UTC)
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def words(text: str) -> list[dict[str, Any]]:
    """Content of one text part, as V1 writes it."""
    return [{"type": "text", "text": text, "signature": None}]


def packed(message: Any, *, ok: bool = True) -> str:
    """What a tool returned, as V1 packs it."""
    status = "OK" if ok else "Failed"
    return json.dumps({"status": status, "message": message, "time": "2025-05-01 12:00:00 PM"})


@dataclass
class Said:
    """A thread of V1 that grows.

    Attributes:
        conversation_id: None for the agent's own thread.
        listed: What stands in its context.
        stored: All that was stored in it.
    """

    v1: V1
    agent_id: str
    conversation_id: str | None = None
    listed: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    def add(self, role: str, *, in_context: bool = True, **columns: Any) -> str:
        """Add a message as a row; its time is a second behind the one before."""
        said_at = _BEGAN + timedelta(seconds=len(self.stored))
        message_id = self.v1.add(
            "messages",
            **{"agent_id": self.agent_id, "role": role, "created_at": said_at}
            | {"conversation_id": self.conversation_id, "tool_calls": []}
            | columns,
        )
        self.stored.append(message_id)
        if in_context:
            self.listed.append(message_id)
        return message_id

    def system(self, text: str = "You are kind.", **columns: Any) -> str:
        return self.add(**{"role": "system", "content": words(text)} | columns)

    def user(self, text: str, **columns: Any) -> str:
        said = {"role": "user", "content": words(text), "otid": str(uuid.uuid4())}
        return self.add(**said | columns)

    def reply(self, text: str, **columns: Any) -> str:
        said = {"role": "assistant", "content": words(text), "model": "gpt-4o-mini"}
        return self.add(**said | columns)

    def call(self, *calls: tuple[str, str, dict[str, Any]], **columns: Any) -> str:
        """A reply that calls: (id, tool, arguments) each."""
        return self.add(
            **{"role": "assistant", "content": [], "tool_calls": tool_calls(*calls)} | columns
        )

    def returned(self, *returns: tuple[str, str], name: str = "tool", **columns: Any) -> str:
        """One row for the returns of parallel calls: (call id, what it returned) each."""
        rows = [
            {"tool_call_id": id_, "status": "success", "stdout": ["printed\n"], "stderr": []}
            | {"func_response": packed(text)}
            for id_, text in returns
        ]
        return self.add(
            "tool",
            **{"content": words(packed(returns[0][1])), "tool_returns": rows, "name": name}
            | {"tool_call_id": returns[0][0]}
            | columns,
        )

    def keep(self) -> None:
        """Store what stands in context, where V1 stores it."""
        if self.conversation_id is None:
            listed = json.dumps(self.listed)
            self.v1.query("UPDATE agents SET message_ids = %s WHERE id = %s", listed, self.agent_id)
            return
        self.v1.query(
            "DELETE FROM conversation_messages WHERE conversation_id = %s", self.conversation_id
        )
        for position, message_id in enumerate(self.listed):
            self._link(message_id, position, in_context=True)
        for position, message_id in enumerate(self.stored):
            if message_id not in self.listed:
                self._link(message_id, position, in_context=False)

    def _link(self, message_id: str, position: int, *, in_context: bool) -> None:
        self.v1.add(
            "conversation_messages",
            conversation_id=self.conversation_id,
            agent_id=self.agent_id,
            message_id=message_id,
            position=position,
            in_context=in_context,
        )


def tool_calls(*calls: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """V1's column of that name."""
    return [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for id_, name, given in calls
    ]


def new_agent(v1: V1, name: str, **columns: Any) -> Said:
    """An agent without messages, whose own thread it is."""
    agent_id = v1.add("agents", **{"name": name, "message_ids": None} | columns)
    return Said(v1, agent_id)


def new_conversation(said: Said, **columns: Any) -> Said:
    """A conversation of the same agent, without messages."""
    conversation_id = said.v1.add("conversations", agent_id=said.agent_id, **columns)
    return Said(said.v1, said.agent_id, conversation_id)


def plain(said: Said, turns: int = 2) -> Said:
    """Some turns of words."""
    said.system()
    for turn in range(turns):
        said.user(f"Question {turn}, naïve 🙂")
        said.reply(f"Answer {turn}")
    return said


def with_tools(said: Said) -> Said:
    """Calls alone and together, one that failed, a return that is an object, broken arguments."""
    said.system()
    said.user("Add.")
    said.call(("call_a", "add_numbers", {"a": 5, "b": 6}))
    said.returned(("call_a", "sum=11"), name="add_numbers")
    said.call(("call_b", "add_numbers", {"a": 1}), ("call_c", "city_report", {"city": "Zürich"}))
    said.returned(("call_b", "1"), ("call_c", "rain"), name="add_numbers")
    broken = tool_calls(("call_d", "explode", {}))
    broken[0]["function"]["arguments"] = '{"a": '
    said.call(tool_calls=broken)
    said.add(
        "tool",
        content=words(packed("Boom", ok=False)),
        tool_call_id="call_d",
        name="explode",
        tool_returns=[
            {"tool_call_id": "call_d", "status": "error", "stderr": ["Traceback"], "stdout": []}
            | {"func_response": packed({"why": ["an", "object"]}, ok=False)}
        ],
    )
    said.reply("Done.")
    return said


def with_parts(said: Said) -> Said:
    """Images, several parts, all kinds of reasoning, parts that nobody knows, mail in between."""
    said.system()
    source = {"type": "letta", "file_id": "file-x", "media_type": "image/png", "data": PICTURE}
    said.user("", content=[*words("Two parts"), {"type": "image", "source": source}, *words("two")])
    said.reply(
        "",
        content=[
            {"type": "reasoning", "is_native": True, "reasoning": "Hm.", "signature": "sig1"},
            {"type": "redacted_reasoning", "data": "xyz"},
            {"type": "omitted_reasoning", "signature": None},
            {"type": "summarized_reasoning", "id": "rs_1", "encrypted_content": "e"}
            | {"summary": [{"index": 0, "text": "thought"}]},
            {"type": "of_the_future", "what": 1},
            *words("It is a dot."),
        ],
    )
    said.system("[Incoming message from agent with ID agent-1] Hello")
    said.user('{"type":"heartbeat","reason":"timer"}')
    said.user('{"type":"login","last_login":"never"}')
    said.reply("")
    return said


def of_the_first_loop(said: Said) -> Said:
    """Rows from before the column `content`, and a call of send_message with its heartbeat."""
    said.system(content=None, text="You are kind.", tool_returns=None, approvals=None)
    said.add("user", content=None, text="Hello?", tool_returns=None, approvals=None)
    sent = {"message": "I am here.", "request_heartbeat": True}
    said.add(
        "assistant",
        content=None,
        text="They greet me.",
        tool_calls=tool_calls(("call_s", "send_message", sent)),
        tool_call_id="call_s",
    )
    said.add(
        "tool",
        content=None,
        text=packed("None"),
        tool_call_id="call_s",
        name="send_message",
        tool_returns=None,
    )
    return said


def compacted(said: Said) -> Said:
    """The summary was stored last, and stands behind the system message in the context."""
    system = said.system()
    for turn in range(3):
        said.user(f"Old {turn}", in_context=False)
        said.reply(f"Old answer {turn}", in_context=False)
    kept = [said.user("New"), said.reply("New answer")]
    alert = {"type": "system_alert", "message": "Note: prior messages were hidden", "time": "now"}
    summary = said.add("user", content=words(json.dumps(alert | {"compaction_stats": {}})))
    said.listed = [system, summary, *kept]
    return said


def with_a_failed_turn(said: Said) -> Said:
    """A turn whose messages never came into the context, between two that did."""
    plain(said)
    said.user("This one failed", in_context=False)
    said.call(("call_f", "explode", {}), in_context=False)
    said.returned(("call_f", "half"), in_context=False)
    said.user("Next")
    said.reply("Fine")
    return said


def stored_late(said: Said) -> Said:
    """A slow turn: stored after a faster later one, and with an earlier place in the context."""
    said.system()
    fast = [said.user("Fast"), said.reply("Fast answer")]
    slow = [said.user("Slow"), said.reply("Slow answer")]
    said.listed = [said.listed[0], *slow, *fast]
    return said


def waiting(said: Said) -> Said:
    """A request for approval that nobody has answered; a call ahead of it waits for none."""
    said.system()
    said.user("Do both.")
    step = f"step-{uuid.uuid4()}"
    said.call(("call_u", "city_report", {"city": "Rome"}), step_id=step)
    said.add(
        "approval",
        content=[],
        tool_calls=tool_calls(("call_w", "add_numbers", {"a": 1, "b": 2})),
        approvals=[],
        step_id=step,
    )
    return said


def answered(said: Said) -> Said:
    """Requests that were approved and denied, in the new form and in the old one."""
    said.system()
    said.user("Delete it.")
    for n, approve in enumerate((True, False)):
        call_id = f"call_{n}"
        request = said.add(
            "approval",
            content=[],
            tool_calls=tool_calls((call_id, "add_numbers", {"a": n})),
            approvals=[],
        )
        named = call_id if approve else request
        said.add(
            "approval",
            content=[],
            approve=approve,
            approval_request_id=request,
            denial_reason=None if approve else "no",
            approvals=[
                {"type": "approval", "tool_call_id": named, "approve": approve, "reason": "x"}
            ],
        )
        said.returned((call_id, "done" if approve else "denied"))
    said.reply("As you wish.")
    return said


def torn(said: Said) -> Said:
    """Calls without returns, a return without a call, ids in the context that name nothing."""
    said.system()
    said.user("Begin")
    said.call(("call_lost", "add_numbers", {}), ("call_kept", "add_numbers", {}))
    said.returned(("call_kept", "one came"))
    said.returned(("call_nobody", "whose am I?"))
    said.user("Go on")
    said.call(("call_last", "add_numbers", {}))
    said.listed.insert(2, f"message-{uuid.uuid4()}")
    said.listed.append(said.listed[1])
    return said


def without_a_head(said: Said) -> Said:
    """A context that begins with what a user said."""
    said.user("Who are you?")
    said.reply("Nobody told me.")
    return said


def nothing(said: Said) -> Said:
    """Not a word."""
    return said


SHAPES: dict[str, Callable[[Said], Said]] = {
    "plain": plain,
    "tools": with_tools,
    "parts": with_parts,
    "first-loop": of_the_first_loop,
    "compacted": compacted,
    "failed": with_a_failed_turn,
    "late": stored_late,
    "waiting": waiting,
    "answered": answered,
    "torn": torn,
    "headless": without_a_head,
    "silent": nothing,
}
"""A name, and what fills a thread so."""

FORKED = tuple(name for name in SHAPES if name not in {"headless", "silent"})
"""Those that have something that a fork would share."""


def fork_of(said: Said, **columns: Any) -> Said:
    """A conversation that shares the context of another thread, but for its system message."""
    fork = new_conversation(said, **columns)
    fork.system("A fork's own.")
    fork.listed += said.listed[1:]
    fork.stored += [one for one in said.listed[1:] if one in said.stored]
    return fork


def everything_said(v1: V1, shapes: Sequence[str] = tuple(SHAPES)) -> dict[str, Said]:
    """An agent for each shape, which has a conversation of the same shape, and forks of both."""
    found: dict[str, Said] = {}
    for name in shapes:
        own = SHAPES[name](new_agent(v1, f"agent {name}"))
        beside = SHAPES[name](new_conversation(own, summary=f"About {name}"))
        found |= {name: own, f"{name}/beside": beside}
        if name in FORKED:
            found |= {f"{name}/fork": fork_of(own), f"{name}/fork of beside": fork_of(beside)}
    for said in found.values():
        said.keep()
    return found
