"""Runs and steps of V1: on demand, and every one of them finished."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from letta_client import Letta, NotFoundError

from tests.letta_v1.moving import Import, line, news
from tests.letta_v1.rows import V1
from tests.support.provider import HANDLE

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_run(v1: V1, agent: str, steps: list[dict[str, Any]], **columns: Any) -> str:
    run = v1.add(
        "runs",
        agent_id=agent,
        created_at=START,
        completed_at=(START + timedelta(seconds=9)).replace(tzinfo=None),
        **columns,
    )
    v1.add("run_metrics", id=run, agent_id=agent)
    for n, step in enumerate(steps):
        step_id = v1.add(
            "steps",
            run_id=run,
            agent_id=agent,
            created_at=START + timedelta(seconds=n),
            prompt_tokens=100,
            completion_tokens=10,
            total_tokens=110,
            model_handle=HANDLE,
            **step,
        )
        v1.add("step_metrics", id=step_id, agent_id=agent, run_id=run, llm_request_ns=5, step_ns=9)
    return run


def test_runs_come_with_their_steps_where_they_are_asked_for(
    v1: V1, moved: Import, client: Letta
) -> None:
    agent = v1.add_agent("runner")
    run = a_run(v1, agent, [{}, {"stop_reason": "end_turn", "feedback": "positive"}])
    result = moved()
    assert line(result, "runs")["left"] == {"not asked for (--with-runs)": 1}
    with pytest.raises(NotFoundError):
        client.runs.retrieve(run)
    result = moved("--with-runs")
    assert (news(result, "runs"), news(result, "steps")) == (1, 2)
    for table in ("runs", "steps", "run_metrics", "step_metrics"):
        assert line(result, table)["unexplained"] == 0
    shown = client.runs.retrieve(run)
    assert (shown.status, shown.stop_reason, shown.agent_id) == ("completed", "end_turn", agent)
    assert shown.created_at == START
    assert shown.completed_at is not None
    usage = client.runs.usage.retrieve(run)
    assert (usage.prompt_tokens, usage.total_tokens) == (200, 220)
    steps = list(client.runs.steps.list(run, order="asc"))
    assert [one.feedback for one in steps] == [None, "positive"]


def test_no_run_goes_on_that_v1_left_open(v1: V1, moved: Import, client: Letta) -> None:
    agent = v1.add_agent("cut")
    runs = {
        "answered": a_run(v1, agent, [{"stop_reason": "end_turn"}], status="created"),
        "cut": a_run(v1, agent, [{}, {"status": "PENDING"}], status="running"),
        "first": a_run(v1, agent, [], status="created"),
    }
    v1.query("UPDATE runs SET stop_reason = NULL, completed_at = NULL")
    moved("--with-runs")
    shown = {name: client.runs.retrieve(run) for name, run in runs.items()}
    assert {name: (run.status, run.stop_reason) for name, run in shown.items()} == {
        "answered": ("completed", "end_turn"),
        "cut": ("failed", "error"),
        "first": ("failed", "error"),
    }
    reply = client.agents.messages.create(agent, input="and now?")
    assert reply.stop_reason.stop_reason == "end_turn"


def test_words_for_an_end_that_are_not_known_here_become_known_ones(
    v1: V1, moved: Import, client: Letta
) -> None:
    agent = v1.add_agent("of ends")
    failed = [{"status": "FAILED", "stop_reason": "no_tool_call", "error_type": "LLMError"}]
    runs = {
        a_run(v1, agent, failed, status="failed", stop_reason="invalid_llm_response"): "failed",
        a_run(v1, agent, [], status="expired", stop_reason=None): "failed",
        a_run(v1, agent, [], status="cancelled", stop_reason="cancelled"): "cancelled",
        a_run(v1, agent, [], status="completed", stop_reason="requires_approval"): "completed",
        a_run(v1, agent, [], status="a new word", stop_reason="another"): "failed",
    }
    moved("--with-runs")
    for run, status in runs.items():
        assert client.runs.retrieve(run).status == status


def test_runs_and_steps_of_nothing_that_is_here_are_left_out(v1: V1, moved: Import) -> None:
    gone = v1.add_agent("gone", is_deleted=True)
    a_run(v1, gone, [{}])
    v1.add("steps", agent_id=gone, run_id=None)
    v1.add("step_metrics", id="step-gone", agent_id=gone)
    agent = v1.add_agent("here")
    a_run(v1, agent, [{}], conversation_id="conv-gone")
    result = moved("--with-runs")
    assert news(result, "runs") == 0
    for table in ("runs", "steps", "run_metrics", "step_metrics"):
        assert line(result, table)["unexplained"] == 0
