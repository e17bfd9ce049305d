"""What Temporal's UI and CLI show of a conversation."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from workflows import options
from workflows.contract import ConversationState, PendingApproval

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
AGENT_ID = SearchAttributeKey.for_keyword("AgentId")
AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")
REQUIRES_APPROVAL = "requires_approval"
"""The RunStatus of a conversation that waits for an answer to an approval request."""


def pending_memo(pending: PendingApproval | None) -> dict[str, Any]:
    """What Temporal shows, without asking the workflow, of what a conversation waits for."""
    return {"pending_approval": asdict(pending) if pending else None}


def memo_of(agent_name: str, pending: PendingApproval | None, at: datetime) -> dict[str, Any]:
    """What Temporal shows of a conversation from its start, also after hand-overs."""
    memo = {"agent_name": shown_name(agent_name)} | last_message_memo(at)
    return memo | (pending_memo(pending) if pending else {})


def last_message_memo(at: datetime) -> dict[str, Any]:
    """When somebody last spoke."""
    return {"last_message_at": f"{at:%Y-%m-%d %H:%M} UTC"}


def shown_name(agent_name: str) -> str:
    """As much of an agent's name as Temporal takes: 400 bytes, and a character may be four."""
    return " ".join(agent_name.split())[:90]


def how_to_decide(conversation_id: str, pending: PendingApproval) -> str:
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


class Display:
    """What one execution shows: details on its own page, status and memo in the list as well.

    Each change of status or memo is an event in history and costs as much, so only what differs
    is written, and `running` only of a turn that takes a while.
    """

    def __init__(self, state: ConversationState) -> None:
        self._state = state
        self._turn_began = self._last_shown = workflow.now()

    def begin_execution(self) -> None:
        """Details do not outlive an execution, as status and memo do."""
        if self._state.pending is not None:
            details = how_to_decide(self._state.conversation_id, self._state.pending)
            workflow.set_current_details(details)

    def begin_turn(self) -> None:
        """Somebody has spoken. The memo says so when it was not written for a while."""
        self._turn_began = now = workflow.now()
        if now - self._last_shown > options.SHOW_TIME_EVERY and workflow.patched(
            options.SHOWS_TIME
        ):
            self._last_shown = now
            workflow.upsert_memo(last_message_memo(now))

    def step(self, text: str) -> None:
        """What the turn does now."""
        count = len(self._state.queue)
        workflow.set_current_details(text + (f"\n\n{count} more runs wait." if count else ""))
        if workflow.now() - self._turn_began > options.WORTH_SHOWING:
            self.status("running")

    def work(self) -> None:
        """Nothing is waited for, although the turn is not over."""
        self.pending(None)
        self.status("running")

    def idle(self, pending: PendingApproval | None, served: int) -> None:
        """No run is left; what is waited for, if anything is."""
        self.pending(pending)
        if pending is None:
            workflow.set_current_details(
                f"Idle since {workflow.now():%Y-%m-%d %H:%M} UTC. "
                f"{served} turns taken by this execution."
            )
            self.status("idle")

    def pending(self, pending: PendingApproval | None) -> None:
        """What the conversation waits for, and how to answer it there."""
        if pending == self._state.pending:
            return
        self._state.pending = pending
        workflow.upsert_memo(pending_memo(pending))
        if pending is not None:
            self.status(REQUIRES_APPROVAL)
            workflow.set_current_details(how_to_decide(self._state.conversation_id, pending))

    def status(self, status: str) -> None:
        """The search attribute, by which the list is filtered."""
        if workflow.info().typed_search_attributes.get(RUN_STATUS) != status:
            workflow.upsert_search_attributes([RUN_STATUS.value_set(status)])
