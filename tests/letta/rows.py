"""Rows of V1's messages, spelled short."""

import json
from typing import Any

from o.letta.drafts import Home

HOME = Home(
    organization_id="org-1", agent_id="agent-1", conversation_id="conv-1", model="openai/gpt-4o"
)


def row(number: int, role: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A row; `number` gives its id and its time."""
    content = [] if text is None else [{"type": "text", "text": text, "signature": None}]
    return {
        "id": message_id(number),
        "role": role,
        "content": content,
        "tool_calls": [],
        "created_at": f"2026-01-02T03:04:{number:02}+00:00",
    } | more


def message_id(number: int) -> str:
    """The id of that row."""
    return f"message-00000000-0000-4000-8000-{number:012}"


def call(id_: str, name: str = "roll", **arguments: Any) -> dict[str, Any]:
    """A tool call as V1 stores it."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": id_, "function": function, "type": "function"}


def returned(id_: str, said: Any = "six", status: str = "success") -> dict[str, Any]:
    """One entry of `tool_returns`."""
    word = "OK" if status == "success" else "Failed"
    packed = json.dumps({"status": word, "message": said, "time": "2026-01-02 03:04:05 AM"})
    return {"tool_call_id": id_, "status": status, "func_response": packed, "stdout": ["a"]}
