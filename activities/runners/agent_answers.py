"""What an agent reads of the answer of another one, or of why there is none."""

from collections.abc import Sequence

from o.domain.json_bounds import parse_json
from o.domain.loops import SEND_MESSAGE
from o.domain.messages import Message
from o.domain.runs import RunStatus, StopReason
from o.storage.agents.agent_messages import AwaitedRun
from o.tools.invocation import Invocation
from o.tools.multi_agent import ASYNC


def circle(to: str, call: Invocation) -> str:
    """What the model reads that would wait in a circle."""
    itself = call.agent is not None and call.agent.id == to
    why = (
        "you cannot wait for an answer of your own"
        if itself
        else f"agent {to} waits for you, directly or through others, so that neither would ever go "
        "on"
    )
    return (
        f"Nothing was sent, because {why}. Answer those who wait for you by ending your turn, or "
        f"write without waiting ({ASYNC})."
    )


def no_answer(end: AwaitedRun, agent_id: str) -> str | None:
    """Why there is no answer; None where there may be one."""
    if end.is_deleted:
        return f"Agent {agent_id} was deleted before it answered."
    if end.waits_for_person or end.stop_reason is StopReason.REQUIRES_APPROVAL:
        return (
            f"Agent {agent_id} has the message, and waits for a person to approve what it wants to "
            "do. Its answer does not come to you."
        )
    if end.status is RunStatus.CANCELLED:
        return f"Agent {agent_id} has the message; its work at it was cancelled."
    if end.status is RunStatus.FAILED:
        return f"Agent {agent_id} has the message, and failed at it: {end.error or 'no reason'}"
    return None


def texts_of(said: Sequence[Message]) -> list[str]:
    """What an agent said: in plain text, or by `send_message` in the legacy loop."""
    return [text for message in said for text in [message.text, *_sent(message)] if text]


def _sent(message: Message) -> list[str]:
    found = []
    for call in message.tool_calls:
        if call.name == SEND_MESSAGE:
            try:
                found.append(str(parse_json(call.arguments)["message"]))
            except (ValueError, TypeError, KeyError):
                continue
    return found
