"""What waits is seen, decided and cancelled with Temporal's own CLI."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.approvals import (
    INSERT,
    answer,
    approval,
    ask,
    await_rest,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say
from tests.support.terminal import (
    history_of,
    list_workflows,
    memo_of,
    signal,
    temporal,
    update,
    waiting,
)

TWO = {"calls": [*INSERT["calls"], *call("memory_insert", label="human", new_string="B")["calls"]]}


@pytest.fixture
def guarded(client: Letta) -> AgentState:
    return guarded_agent(client)


def thread_of(server: Product, agent: AgentState) -> str:
    """The agent's own conversation, whose id is its workflow's."""
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    return str(conversation_id)


def kinds_of(client: Letta, agent: AgentState) -> list[str]:
    listed = client.agents.messages.list(agent.id, order="asc").items
    return [str(message.message_type) for message in listed]


def assert_still_waits(client: Letta, agent: AgentState, request: Any) -> None:
    """The request can be answered as if nothing had happened, and the agent goes on."""
    assert client.agents.retrieve(agent.id).pending_approval.id == request.id
    assert memory_of(client, agent) == "nothing"
    said = answer(client, agent, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert memory_of(client, agent).count("likes tea") == 1
    after = client.agents.messages.create(agent.id, input="and now?")
    assert after.messages[-1].content == "You said: and now?"


def decided_by(server: Product, agent: AgentState) -> list[tuple[Any, ...]]:
    return server.query("SELECT status, decided_by FROM approvals WHERE agent_id = %s", agent.id)


@pytest.mark.parametrize("how", ["update", "signal"])
@pytest.mark.parametrize("approve", [True, False])
def test_a_call_is_approved_or_denied_by_update_and_by_signal(
    server: Product, client: Letta, guarded: AgentState, how: str, approve: bool
) -> None:
    request = request_of(ask(client, guarded))
    verdict: Any = {"tool_call_id": request.tool_call.tool_call_id, "approve": approve}
    if not approve:
        verdict["reason"] = "not on Sundays"
    if how == "update":
        decided = update(server, thread_of(server, guarded), "decide", **verdict)
        carried_on = client.runs.retrieve(decided["turn"]["run_id"])
        assert carried_on.agent_id == guarded.id
        assert decided["pending"] is None
    else:
        signal(server, thread_of(server, guarded), "decide", json.dumps(verdict))
    await_rest(client, guarded)
    assert kinds_of(client, guarded)[-4:] == [
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    response, returned, last = client.agents.messages.list(guarded.id, order="asc").items[-3:]
    assert (response.approval_request_id, response.approve) == (request.id, approve)
    (decision,) = response.approvals or []
    assert decision.tool_call_id == request.tool_call.tool_call_id
    assert decision.reason == (None if approve else "not on Sundays")
    assert returned.status == ("success" if approve else "error")
    assert last.content == "done"
    if not approve:
        assert "User reason: not on Sundays" in returned.tool_return
    assert memory_of(client, guarded).count("likes tea") == approve
    assert decided_by(server, guarded) == [("decided", "temporal")]


def test_calls_are_decided_one_by_one_there_and_through_the_api(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, TWO))
    first, second = (one.tool_call_id for one in request.tool_calls)
    decided = update(
        server, thread_of(server, guarded), "decide", tool_call_id=second, approve=False
    )
    left = {"id": request.id, "calls": [first], "tools": ["memory_insert"]}
    assert (decided["turn"], decided["pending"]) == (None, left)
    eventually(lambda: waiting(server, guarded) == [left], what="the memo")
    said = answer(client, guarded, approval(first))
    assert said.messages[-1].content == "done"
    assert memory_of(client, guarded) == "nothing\nlikes tea"
    eventually(lambda: waiting(server, guarded) == [], what="the end of waiting")


def test_a_part_of_an_answer_through_the_api_leaves_the_rest_in_the_list(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, TWO))
    first, second = (one.tool_call_id for one in request.tool_calls)
    assert answer(client, guarded, approval(first)).stop_reason.stop_reason == "requires_approval"
    left = {"id": request.id, "calls": [second], "tools": ["memory_insert"]}
    eventually(lambda: waiting(server, guarded) == [left], what="the memo")
    update(server, thread_of(server, guarded), "decide", tool_call_id=second, approve=True)
    await_rest(client, guarded)
    assert memory_of(client, guarded) == "nothing\nlikes tea\nB"
    eventually(lambda: waiting(server, guarded) == [], what="the end of waiting")


def test_a_decision_about_a_call_that_does_not_wait_is_refused_and_nothing_happens(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    conversation_id = thread_of(server, guarded)
    with pytest.raises(AssertionError, match="Invalid tool call IDs") as refused:
        update(server, conversation_id, "decide", tool_call_id="call_x", approve=True)
    assert request.tool_call.tool_call_id in str(refused.value)
    for verdict in ({"tool_call_id": request.id}, {"approve": "yes"}, {"approve": True}, {}):
        with pytest.raises(AssertionError, match=r"approve|tool_call_id"):
            update(server, conversation_id, "decide", **verdict)
    assert_still_waits(client, guarded, request)
    with pytest.raises(AssertionError, match="No tool call is currently"):
        update(server, conversation_id, "decide", tool_call_id="call_x", approve=True)


def test_the_same_decision_again_gives_the_same_and_another_is_refused(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    thread = thread_of(server, guarded)
    with ThreadPoolExecutor(3) as pool:
        at_once = list(
            pool.map(
                lambda _: update(server, thread, "decide", tool_call_id=call_id, approve=True),
                range(3),
            )
        )
    await_rest(client, guarded)
    again = update(server, thread, "decide", tool_call_id=call_id, approve=True)
    assert len({decided["run_id"] for decided in [*at_once, again]}) == 1
    with pytest.raises(AssertionError, match="was answered otherwise before"):
        update(server, thread, "decide", tool_call_id=call_id, approve=False)
    said = answer(client, guarded, approval(call_id))
    assert said.messages[0].run_id == again["run_id"]
    assert memory_of(client, guarded).count("likes tea") == 1
    assert len(client.runs.list(agent_id=guarded.id).items) == 2


MALFORMED = {
    "nothing": [],
    "two": ['{"approve": true}', '{"approve": true}'],
    "a number": ["1"],
    "null": ["null"],
    "text": ['"approve"'],
    "a list": ['[{"approve": true}]'],
    "no verdict": ["{}"],
    "a verdict in words": ['{"approve": "yes"}'],
    "no call": ['{"approve": true}'],
    "a wrong call": ['{"tool_call_id": "call_x", "approve": true}'],
    "a number for a call": ['{"tool_call_id": 1, "approve": true}'],
}


def test_a_signal_that_cannot_be_followed_is_dropped_and_the_workflow_goes_on(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    thread = thread_of(server, guarded)
    for inputs in MALFORMED.values():
        signal(server, thread, "decide", *inputs)
    for inputs in ([], ["{}", "{}"], ['{"run_ids": 1}'], ['{"run_ids": ["run-x"]}'], ["true"]):
        signal(server, thread, "cancel", *inputs)
    signal(server, thread, "no such signal", "1")
    assert_still_waits(client, guarded, request)
    assert "WORKFLOW_TASK_FAILED" not in history_of(server, thread)
    (execution,) = list_workflows(server, f"WorkflowId = '{thread}'")
    assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING", "none was replaced"
    assert [run.status for run in client.runs.list(agent_id=guarded.id).items] == ["completed"] * 3


@pytest.mark.parametrize("end", ["answer", "cancel", "decide", "cancel there"])
def test_what_waits_is_seen_in_a_list_without_asking_the_workflow_until_it_is_over(
    server: Product, client: Letta, guarded: AgentState, end: str
) -> None:
    request = request_of(ask(client, guarded))
    call_id, thread = request.tool_call.tool_call_id, thread_of(server, guarded)
    shown = {"id": request.id, "calls": [call_id], "tools": ["memory_insert"]}
    eventually(lambda: waiting(server, guarded) == [shown], what="the list")
    match end:
        case "answer":
            answer(client, guarded, approval(call_id))
        case "cancel":
            client.agents.messages.cancel(guarded.id)
        case "decide":
            update(server, thread, "decide", tool_call_id=call_id, approve=True)
        case _:
            update(server, thread, "cancel")
    idle = f"WorkflowId = '{thread}' AND RunStatus = 'idle'"
    (found,) = eventually(lambda: list_workflows(server, idle), what="the end of waiting")
    assert memo_of(found) is None
    assert waiting(server, guarded) == []


def test_a_list_that_is_wrong_is_put_right(
    server: Product, guarded: AgentState, client: Letta
) -> None:
    """As when whoever changed what waits died before the conversation was told."""
    ask(client, guarded)
    (shown,) = eventually(lambda: waiting(server, guarded), what="the request")
    change = "UPDATE approvals SET status = %s WHERE agent_id = %s"
    server.query(change, "cancelled", guarded.id)
    eventually(lambda: not waiting(server, guarded), within_s=60, what="the end of waiting")
    server.query(change, "pending", guarded.id)
    eventually(lambda: waiting(server, guarded) == [shown], within_s=60, what="the request")


def test_what_waits_is_seen_although_another_message_was_cancelled_meanwhile(
    server: Product, client: Letta, guarded: AgentState, provider: FakeProvider
) -> None:
    text = do(INSERT, say("done"))
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.agents.messages.create, guarded.id, input=text)
        assert held.reached.wait(20)
        queued = pool.submit(client.agents.messages.create, guarded.id, input="never mind")
        runs = eventually(lambda: _two(client.runs.list(agent_id=guarded.id, active=True).items))
        update(server, thread_of(server, guarded), "cancel", run_ids=[runs[0].id])
        assert queued.result(20).stop_reason.stop_reason == "cancelled"
        held.opened.set()
        request = request_of(first.result(20))
    (shown,) = eventually(lambda: waiting(server, guarded), what="the list")
    assert shown["id"] == request.id
    assert_still_waits(client, guarded, request)


def _two(runs: list[Any]) -> list[Any]:
    return runs if len(runs) == 2 else []


@pytest.mark.parametrize("how", ["update", "signal"])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_under_way_and_what_waits_is_cancelled_from_the_terminal(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider, how: str, named: bool
) -> None:
    text = f"cancel me {how} {named}"
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.agents.messages.create, agent.id, input=text)
        assert held.reached.wait(20)
        before = provider.hung_up
        queued = pool.submit(client.agents.messages.create, agent.id, input="behind it")
        runs = eventually(lambda: _two(client.runs.list(agent_id=agent.id, active=True).items))
        named_run = runs[1].id
        argument: Any = {"run_ids": [named_run]} if named else {}
        if how == "update":
            cancelled = update(server, thread_of(server, agent), "cancel", **argument)
            assert set(cancelled["run_ids"]) == {run.id for run in (runs[1:] if named else runs)}
        else:
            signal(server, thread_of(server, agent), "cancel", json.dumps(argument))
        assert first.result(20).stop_reason.stop_reason == "cancelled"
        eventually(lambda: provider.hung_up > before, what="the end of the model call")
        held.opened.set()
        end = "end_turn" if named else "cancelled"
        assert queued.result(20).stop_reason.stop_reason == end
    after = client.agents.messages.create(agent.id, input="and now?")
    assert after.messages[-1].content == "You said: and now?"
    assert client.runs.retrieve(named_run).status == "cancelled"


def test_a_cancel_of_nothing_and_of_a_run_that_is_not_there_is_refused(
    server: Product, client: Letta, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hello")
    (run,) = client.runs.list(agent_id=agent.id).items
    thread = thread_of(server, agent)
    with pytest.raises(AssertionError, match="No active runs to cancel"):
        update(server, thread, "cancel")
    with pytest.raises(AssertionError, match="Run with id run-x not found"):
        update(server, thread, "cancel", run_ids=["run-x"])
    assert update(server, thread, "cancel", run_ids=[run.id])["run_ids"] == [run.id]
    assert client.runs.retrieve(run.id).status == "completed"


def test_temporal_is_never_told_what_is_said_or_what_a_tool_is_called_with(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    text = do(INSERT, INSERT, say("a secret reply"))
    request = request_of(client.agents.messages.create(guarded.id, input=text))
    denial = approval(request.tool_call.tool_call_id, approve=False, reason="a private reason")
    second = request_of(answer(client, guarded, denial))
    thread = thread_of(server, guarded)
    update(server, thread, "decide", tool_call_id=second.tool_call.tool_call_id, approve=True)
    await_rest(client, guarded)
    told = history_of(server, thread)
    for secret in ("likes tea", "new_string", "secret", "private", "nothing"):
        assert secret not in told
    described = temporal(server, "workflow", "describe", "--workflow-id", thread, "-o", "json")
    assert "likes tea" not in described.stdout
