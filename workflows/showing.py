"""What Temporal's UI and CLI show of a conversation, without asking its workflow."""

from dataclasses import asdict
from typing import Any

from temporalio.common import SearchAttributeKey

from workflows.contract import Approval

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
AGENT_ID = SearchAttributeKey.for_keyword("AgentId")
AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")
REQUIRES_APPROVAL = "requires_approval"
"""The RunStatus of a conversation that waits for an answer to an approval request."""


def pending_memo(pending: Approval | None) -> dict[str, Any]:
    """What Temporal shows, without asking the workflow, of what a conversation waits for."""
    return {"pending_approval": asdict(pending) if pending else None}


def how_to_decide(conversation_id: str, pending: Approval) -> str:
    """What a person reads in Temporal's UI about a request that waits, in Markdown."""
    calls = "\n".join(
        f"- `{tool}`, tool call `{call}`"
        for call, tool in zip(pending.calls, pending.tools, strict=True)
    )
    return (
        f"Waits for approval (`{pending.id}`; the API shows the arguments):\n\n{calls}\n\n"
        f"    temporal workflow update execute --workflow-id {conversation_id} --name decide "
        f"""--input '{{"tool_call_id": "…", "approve": true}}'\n\n"""
        f"With `{pending.id}` for the tool call it is about all of them."
    )
