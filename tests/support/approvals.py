"""Agents whose tools need approval, and what is answered to them."""

from typing import Any

from letta_client import Letta
from letta_client.types import AgentState
from letta_client.types.agents import LettaResponse

from tests.support.product import eventually
from tests.support.provider import HANDLE, Action, call, do, say

GUARDED = "memory_insert"
INSERT = call(GUARDED, label="human", new_string="likes tea")


def guarded_agent(client: Letta, **more: Any) -> AgentState:
    """An agent that may edit its memory only when it is told so."""
    return client.agents.create(
        name="guarded",
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "nothing"}],
        tool_rules=[{"type": "requires_approval", "tool_name": GUARDED}],
        **more,
    )


def ask(client: Letta, agent: AgentState, *actions: Action, **more: Any) -> LettaResponse:
    """Make the agent take these actions and then say that it is done."""
    text = do(*(actions or (INSERT,)), say("done"))
    response: LettaResponse = client.agents.messages.create(agent.id, input=text, **more)
    return response


def request_of(response: LettaResponse) -> Any:
    """The approval request that a response ends with."""
    request = response.messages[-1]
    assert request.message_type == "approval_request_message"
    assert response.stop_reason.stop_reason == "requires_approval"
    return request


def approval(call_id: str, *, approve: bool = True, reason: str | None = None) -> dict[str, Any]:
    """An answer to one call."""
    return {"type": "approval", "tool_call_id": call_id, "approve": approve, "reason": reason}


def answer(client: Letta, agent: AgentState, *approvals: dict[str, Any], **more: Any) -> Any:
    """Answer calls."""
    message: Any = {"type": "approval", "approvals": list(approvals)}
    return client.agents.messages.create(agent.id, messages=[message], **more)


def await_rest(client: Letta, agent: AgentState) -> None:
    """Wait until nothing waits and nothing is open.

    In this order: with the answer a request ceases to wait, and its run is there at once.
    """
    eventually(
        lambda: (
            client.agents.retrieve(agent.id).pending_approval is None
            and not client.runs.list(agent_id=agent.id, active=True).items
        ),
        what="rest",
    )


def memory_of(client: Letta, agent: AgentState) -> str:
    """What the guarded block holds."""
    return client.agents.blocks.retrieve("human", agent_id=agent.id).value
