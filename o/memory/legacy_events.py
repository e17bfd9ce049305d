"""What an agent of the legacy loop is shown before anybody speaks, and the events it is told."""

import json
from datetime import datetime
from typing import Any

from o.domain.agents import Agent, Conversation
from o.domain.loops import SEND_MESSAGE
from o.domain.messages import (
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    heartbeat_message_id,
)
from o.ids import derived_id
from o.memory.prompt import local_time

_BOOT_THOUGHTS = "I am awake. Before anyone comes I try how I speak: with send_message."
_BOOT_MESSAGE = "Hello. I am here, and I remember."
SENT = "Sent message successfully."
"""The return of V1's `send_message`."""


def boot_messages(agent: Agent, conversation: Conversation, now: datetime) -> list[Message]:
    """What a conversation of an agent of the legacy loop begins with, at positions from 1.

    A call of send_message, its return and a login event show the model how it is meant to act.
    """
    call_id = "call_boot"
    call = ToolCall(id=call_id, name=SEND_MESSAGE, arguments=json.dumps({"message": _BOOT_MESSAGE}))
    thought = ReasoningPart(reasoning=_BOOT_THOUGHTS, source="non_reasoner_model")
    returned = ToolReturn(tool_call_id=call_id, name=SEND_MESSAGE, status="success", content=SENT)
    login = TextPart(text=login_text(now, agent.timezone))
    bodies: list[dict[str, Any]] = [
        {"role": Role.ASSISTANT, "parts": [thought], "tool_calls": [call]},
        {"role": Role.TOOL, "tool_return": returned, "name": SEND_MESSAGE},
        {"role": Role.USER, "parts": [login]},
    ]
    return [
        Message(
            id=derived_id("message", conversation.id, "boot", position),
            organization_id=agent.organization_id,
            agent_id=agent.id,
            conversation_id=conversation.id,
            position=position,
            created_at=now,
            **body,
        )
        for position, body in enumerate(bodies, start=1)
    ]


def login_text(now: datetime, timezone: str) -> str:
    """The event that a person has come for the first time, in V1's packed form."""
    return _packed(
        {"type": "login", "last_login": "Never (first login)", "time": local_time(now, timezone)}
    )


def heartbeat_message(before: Message, step_id: str, reason: str, timezone: str) -> Message:
    """The heartbeat that follows a message of a step, in the next place of its history."""
    return Message(
        id=heartbeat_message_id(step_id),
        organization_id=before.organization_id,
        agent_id=before.agent_id,
        conversation_id=before.conversation_id,
        run_id=before.run_id,
        step_id=step_id,
        position=before.position + 1,
        role=Role.USER,
        parts=[TextPart(text=_heartbeat_text(reason, before.created_at, timezone))],
        created_at=before.created_at,
    )


def _heartbeat_text(reason: str, now: datetime, timezone: str) -> str:
    """The event that wakes a model again, in V1's packed form."""
    return _packed({"type": "heartbeat", "reason": reason, "time": local_time(now, timezone)})


def _packed(event: dict[str, str]) -> str:
    return json.dumps(event, ensure_ascii=False)
