"""Runs as resources: what they say, cost and took, and how they go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from letta_client import APIStatusError, BadRequestError, Letta, NotFoundError
from letta_client.types import AgentState
from letta_client.types.agents import Run

from o.ids import new_id
from o.storage.database import libpq_url
from tests.support.chats import speak
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say


def run_of(client: Letta, agent: AgentState, text: str) -> Run:
    """The run of a send that succeeds."""
    reply = client.agents.messages.create(agent.id, input=text)
    return client.runs.retrieve(str(reply.messages[-1].run_id))


def newest(client: Letta, agent: AgentState) -> Run:
    return client.runs.list(agent_id=agent.id, limit=1).items[0]


def http(server: Product, run_id: str, path: str = "") -> Any:
    answer = httpx.get(f"{server.url}/v1/runs/{run_id}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def tool_run(client: Letta, agent: AgentState) -> Run:
    edit = call("memory_insert", label="human", new_string="Ada")
    return run_of(client, agent, do(edit, edit, say("noted")))


def test_a_run_shows_v1s_fields(client: Letta, server: Product, agent: AgentState) -> None:
    run = run_of(client, agent, "hello")
    shown = http(server, run.id)
    assert shown["status"] == "completed"
    assert shown["stop_reason"] == "end_turn"
    assert shown["agent_id"] == agent.id
    assert shown["conversation_id"].startswith("conv-")
    assert shown["metadata"] == {"run_type": "send_message"}
    assert shown["background"] is False
    assert shown["request_config"] == {
        "use_assistant_message": True,
        "assistant_message_tool_name": "send_message",
        "assistant_message_tool_kwarg": "message",
        "include_return_message_types": None,
    }
    assert shown["created_at"].endswith("Z")
    completed_at = datetime.fromisoformat(shown["completed_at"])
    assert completed_at.tzinfo is None, "V1 gives this one time without a zone"
    created_at = datetime.fromisoformat(shown["created_at"])
    took = completed_at.replace(tzinfo=UTC) - created_at
    assert shown["total_duration_ns"] == took // timedelta(microseconds=1) * 1_000
    assert 0 < shown["ttft_ns"] <= shown["total_duration_ns"]


def test_a_run_keeps_what_its_request_asked(client: Letta, agent: AgentState) -> None:
    list(
        client.agents.messages.create(
            agent.id,
            input="hello",
            streaming=True,
            include_return_message_types=["assistant_message"],
        )
    )
    run = newest(client, agent)
    assert run.metadata == {"run_type": "streaming"}
    assert run.request_config is not None
    assert run.request_config.include_return_message_types == ["assistant_message"]


def test_a_token_stream_reaches_its_first_token_before_its_end(
    client: Letta, agent: AgentState
) -> None:
    text = do(say("one two three four") | {"pause_s": 0.05})
    list(client.agents.messages.create(agent.id, input=text, streaming=True, stream_tokens=True))
    run = newest(client, agent)
    assert run.ttft_ns is not None
    assert run.total_duration_ns is not None
    assert run.ttft_ns + 100_000_000 < run.total_duration_ns


def test_a_failed_run_says_why_in_v1s_two_forms(client: Letta, agent: AgentState) -> None:
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do({"fail": 401}))
    with pytest.raises(APIStatusError):
        list(client.agents.messages.create(agent.id, input=do({"fail": 401}), streaming=True))
    streamed, plain = client.runs.list(agent_id=agent.id).items
    for run in (streamed, plain):
        assert (run.status, run.stop_reason) == ("failed", "llm_api_error")
        assert run.completed_at is not None
    assert isinstance((plain.metadata or {})["error"], str)
    error = (streamed.metadata or {})["error"]
    assert isinstance(error, dict)
    assert error.keys() == {"run_id", "error_type", "message", "detail"}
    assert (error["run_id"], error["error_type"]) == (streamed.id, "llm_authentication")


def test_an_open_run_has_neither_end_nor_reason(
    client: Letta, server: Product, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "wait for me")
    with httpx.stream(
        "POST", f"{server.url}/v1/agents/{agent.id}/messages/stream", json={"input": "wait for me"}
    ):
        assert gate.reached.wait(20)
        run = newest(client, agent)
        assert run.status == "running"
        assert (run.completed_at, run.stop_reason, run.total_duration_ns) == (None, None, None)
        assert http(server, run.id, "/metrics")["run_ns"] is None
        assert [r.id for r in client.runs.list(agent_id=agent.id, active=True)] == [run.id]
        active = httpx.get(f"{server.url}/v1/runs/active", params={"agent_id": agent.id}).json()
        assert [one["id"] for one in active] == [run.id]
        (step,) = client.runs.steps.list(run.id).items
        assert (step.status, step.stop_reason) == ("pending", None)
        refused = httpx.delete(f"{server.url}/v1/runs/{run.id}")
        assert refused.status_code == 409
        assert refused.headers["x-should-retry"] == "false"
        gate.opened.set()
    eventually(
        lambda: client.runs.retrieve(run.id).status == "completed", what="the end of the run"
    )
    assert client.runs.list(agent_id=agent.id, active=True).items == []


def test_a_runs_messages_are_ascending_and_begin_with_what_was_said(
    client: Letta, agent: AgentState, tool_run: Run
) -> None:
    run_of(client, agent, "something else")
    shown = client.runs.messages.list(tool_run.id).items
    assert [message.message_type for message in shown] == [
        "user_message",
        *["tool_call_message", "tool_return_message"] * 2,
        "assistant_message",
    ]
    assert {message.run_id for message in shown} == {tool_run.id}
    for order in ("asc", "desc"):
        paged = list(client.runs.messages.list(tool_run.id, limit=2, order=order))
        ids = [message.id for message in paged]
        assert ids == [message.id for message in (shown if order == "asc" else shown[::-1])]


def test_usage_and_metrics_are_sums_over_the_steps(
    client: Letta, server: Product, agent: AgentState, tool_run: Run
) -> None:
    usage = http(server, tool_run.id, "/usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (33, 21)
    assert (usage["total_tokens"], usage["step_count"]) == (54, 3)
    assert client.runs.usage.retrieve(tool_run.id).total_tokens == 54
    metrics = http(server, tool_run.id, "/metrics")
    assert metrics["num_steps"] == 3
    assert metrics["run_ns"] == tool_run.total_duration_ns
    assert metrics["agent_id"] == agent.id
    (used,) = metrics["tools_used"]
    tools = client.agents.retrieve(agent.id, include=["agent.tools"]).tools
    assert used in [tool.id for tool in tools if tool.name == "memory_insert"]
    assert tool_run.created_at is not None
    start_s = metrics["run_start_ns"] / 1e9
    assert abs(start_s - tool_run.created_at.timestamp()) < 0.001


def test_a_runs_steps_are_listed_in_both_orders(client: Letta, tool_run: Run) -> None:
    descending = [step.id for step in client.runs.steps.list(tool_run.id, limit=2)]
    ascending = [step.id for step in client.runs.steps.list(tool_run.id, limit=2, order="asc")]
    assert len(ascending) == 3
    assert descending == ascending[::-1]


def test_runs_can_be_filtered_and_paged(client: Letta) -> None:
    agent, other = (client.agents.create(model=HANDLE) for _ in range(2))
    made = [run_of(client, agent, f"m{n}").id for n in range(5)]
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do({"fail": 401}))
    failed = newest(client, agent).id
    theirs = run_of(client, other, "hello")

    def listed(**asked: Any) -> list[str]:
        return [run.id for run in client.runs.list(**asked)]

    for limit in (1, 2, 10):
        assert listed(agent_id=agent.id, limit=limit) == [failed, *made[::-1]]
        assert listed(agent_id=agent.id, limit=limit, order="asc") == [*made, failed]
    assert listed(agent_id=agent.id, ascending=True)[0] == made[0]
    assert listed(agent_ids=[agent.id, other.id])[0] == theirs.id
    assert len(listed(agent_ids=[agent.id, other.id])) == 7
    assert listed(agent_id=agent.id, statuses=["failed", "created"]) == [failed]
    assert listed(agent_id=agent.id, stop_reason="llm_api_error") == [failed]
    assert listed(agent_id=agent.id, background=True) == []
    assert len(listed(agent_id=agent.id, background=False)) == 6
    assert listed(conversation_id=theirs.conversation_id) == [theirs.id]
    before = client.runs.list(agent_id=agent.id, order="asc", before=made[2]).items
    assert [run.id for run in before] == made[:2]
    for bad in ({"statuses": ["sleeping"]}, {"stop_reason": "boredom"}, {"limit": 1_001}):
        with pytest.raises(APIStatusError) as refused:
            client.runs.list(**bad)
        assert refused.value.status_code == 422
    with pytest.raises(NotFoundError):
        client.runs.list(after=new_id("run"))


def test_a_run_at_rest_can_be_deleted_and_its_messages_stay(
    client: Letta, server: Product, agent: AgentState, tool_run: Run
) -> None:
    before = client.agents.messages.list(agent.id).items
    answer = httpx.delete(f"{server.url}/v1/runs/{tool_run.id}")
    assert (answer.status_code, answer.json()["id"]) == (200, tool_run.id)
    with pytest.raises(NotFoundError):
        client.runs.retrieve(tool_run.id)
    assert httpx.delete(f"{server.url}/v1/runs/{tool_run.id}").status_code == 404
    for table in ("steps", "run_events"):
        left = server.query(f"SELECT count(*) FROM {table} WHERE run_id = %s", tool_run.id)
        assert left == [(0,)]
    assert client.agents.messages.list(agent.id).items == before
    assert run_of(client, agent, "go on").status == "completed"


def test_the_runs_of_a_deleted_agent_are_gone(
    client: Letta, server: Product, agent: AgentState, tool_run: Run
) -> None:
    (step, *_) = client.runs.steps.list(tool_run.id).items
    client.agents.delete(agent.id)
    assert client.runs.list(agent_id=agent.id).items == []
    assert client.steps.list(agent_id=agent.id).items == []
    for gone in (
        lambda: client.runs.retrieve(tool_run.id),
        lambda: client.runs.messages.list(tool_run.id),
        lambda: client.steps.retrieve(step.id),
    ):
        with pytest.raises(NotFoundError):
            gone()
    count = "SELECT count(*) FROM runs FULL JOIN run_events ON run_events.run_id = runs.id"
    eventually(
        lambda: server.query(f"{count} WHERE %s IN (runs.id, run_id)", tool_run.id) == [(0,)],
        what="the purge of the run and its events",
    )


def test_the_runs_of_a_deleted_conversation_are_gone_with_their_steps_at_once(
    client: Letta, server: Product, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    speak(client, conversation.id, "hi")
    (run,) = client.runs.list(conversation_id=conversation.id)
    (step,) = client.runs.steps.list(run.id)
    with psycopg.connect(libpq_url(server.state["database_url"])) as held:
        held.execute("SELECT FROM conversations WHERE id = %s FOR KEY SHARE", [conversation.id])
        client.conversations.delete(conversation.id)  # the purge waits for the lock
        assert client.runs.list(agent_id=agent.id).items == []
        assert client.steps.list(agent_id=agent.id).items == []
        for gone in (
            lambda: client.steps.retrieve(step.id),
            lambda: client.steps.metrics.retrieve(step.id),
            lambda: client.steps.feedback.create(step.id, feedback="positive"),
        ):
            with pytest.raises(NotFoundError):
                gone()
        assert server.query("SELECT feedback FROM steps WHERE id = %s", step.id) == [(None,)]


def test_a_malformed_run_id_is_400(client: Letta) -> None:
    for ask in (
        client.runs.retrieve,
        client.runs.messages.list,
        client.runs.steps.list,
        client.runs.usage.retrieve,
    ):
        with pytest.raises(BadRequestError) as refused:
            ask("run-1")
        assert refused.value.response.json()["detail"].startswith(
            "INVALID_ARGUMENT: Invalid run ID"
        )
        with pytest.raises(NotFoundError):
            ask(new_id("run"))


def test_events_are_purged_and_a_repeated_post_is_answered_from_the_record(
    client: Letta, server: Product, agent: AgentState
) -> None:
    say_once = {"role": "user", "content": do(say("only once")), "otid": new_id("message")[8:]}
    first = client.agents.messages.create(agent.id, messages=[say_once])
    run_id = str(first.messages[0].run_id)
    count = "SELECT count(*) FROM run_events WHERE run_id = %s"
    assert server.query(count, run_id) != [(0,)]
    long_ago = "UPDATE runs SET completed_at = now() - interval '2 days' WHERE id = %s"
    server.query(long_ago, run_id)
    eventually(lambda: server.query(count, run_id) == [(0,)], what="the purge of the events")
    again = client.agents.messages.create(agent.id, messages=[say_once])
    assert again.messages == first.messages
    assert again.usage == first.usage
    assert again.stop_reason == first.stop_reason
