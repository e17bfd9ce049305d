"""Steps as resources: what they asked, said and took, and feedback on them."""

from typing import Any

import pytest
from letta_client import APIStatusError, Letta, NotFoundError, UnprocessableEntityError
from letta_client.types import AgentState, Step

from o.ids import new_id
from tests.support.provider import HANDLE, MODEL, call, do, say


@pytest.fixture(scope="module")
def steps(client: Letta) -> list[Step]:
    """The two steps of a run, oldest first: a tool call, and an answer that takes a while."""
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    edit = call("memory_insert", label="human", new_string="Ada")
    text = do(edit, say("noted") | {"delay_s": 0.2})
    client.agents.messages.create(agent.id, input=text)
    return client.steps.list(agent_id=agent.id, order="asc").items


def test_a_step_shows_v1s_fields(client: Letta, steps: list[Step]) -> None:
    called, said = steps
    assert client.steps.retrieve(said.id) == said
    assert (said.provider_name, said.model, said.api_model_handle) == ("openai", MODEL, HANDLE)
    assert (said.prompt_tokens, said.completion_tokens, said.total_tokens) == (11, 7, 18)
    assert said.status == called.status == "success"
    assert (called.stop_reason, said.stop_reason) == (None, "end_turn")
    assert said.run_id == called.run_id
    assert (said.error_type, said.error_data, said.feedback, said.tags) == (None, None, None, [])


def test_a_steps_messages_are_its_reply_and_its_returns(client: Letta, steps: list[Step]) -> None:
    called, said = steps
    shown = client.steps.messages.list(called.id).items
    assert [m.message_type for m in shown] == ["tool_call_message", "tool_return_message"]
    assert {m.step_id for m in shown} == {called.id}
    (answer,) = client.steps.messages.list(said.id)
    assert answer.content == "noted"


def test_a_steps_metrics_are_measured(client: Letta, steps: list[Step]) -> None:
    called, said = (client.steps.metrics.retrieve(step.id) for step in steps)
    assert called.tool_execution_ns is not None
    assert called.tool_execution_ns > 0
    assert said.tool_execution_ns is None, "nothing ran, so nothing was measured"
    assert said.llm_request_ns is not None
    assert said.llm_request_ns >= 200_000_000, "the provider took that long"
    assert said.step_ns is not None
    assert said.step_ns >= said.llm_request_ns
    assert said.step_start_ns is not None
    assert said.llm_request_start_ns is not None
    assert said.step_start_ns <= said.llm_request_start_ns


def test_a_failed_step_says_why(client: Letta, agent: AgentState) -> None:
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do({"fail": 400}))
    (step,) = client.steps.list(agent_id=agent.id)
    assert (step.status, step.stop_reason) == ("failed", "llm_api_error")
    assert step.error_type == "llm_bad_request"
    assert step.error_data is not None
    assert step.error_data["message"]
    assert client.steps.metrics.retrieve(step.id).llm_request_ns is None


def test_steps_can_be_filtered_and_paged(client: Letta, steps: list[Step]) -> None:
    agent_id = steps[0].agent_id
    ids = [step.id for step in steps]

    def listed(**asked: Any) -> list[str]:
        return [step.id for step in client.steps.list(agent_id=agent_id, **asked)]

    assert listed(limit=1) == ids[::-1]
    assert listed(limit=1, order="asc") == ids
    assert listed(model=MODEL) == listed(model=HANDLE) == ids[::-1]
    assert listed(model="gpt") == []
    assert listed(start_date="2020-01-01T00:00:00", end_date="2999-01-01T00:00:00Z") == ids[::-1]
    assert listed(start_date="2999-01-01T00:00:00+01:00") == []
    assert listed(end_date="2020-01-01") == []
    assert listed(trace_ids=["t"]) == listed(project_id="p") == []
    with pytest.raises(APIStatusError) as refused:
        listed(start_date="yesterday")
    assert refused.value.status_code == 400
    with pytest.raises(NotFoundError):
        listed(before=new_id("step"))


def test_feedback_is_kept_changed_and_taken_back(client: Letta, steps: list[Step]) -> None:
    step, other = steps

    def rated(**asked: Any) -> list[str]:
        return [one.id for one in client.steps.list(agent_id=step.agent_id, **asked)]

    given = client.steps.feedback.create(step.id, feedback="positive", tags=["kind"])
    assert (given.feedback, given.tags) == ("positive", ["kind"])
    assert rated(feedback="positive") == rated(has_feedback=True) == rated(tags=["kind", "x"])
    assert rated(has_feedback=True) == [step.id]
    assert rated(has_feedback=False) == [other.id]
    changed = client.steps.feedback.create(step.id, feedback="negative")
    assert (changed.feedback, changed.tags) == ("negative", ["kind"])
    assert rated(feedback="positive") == []
    assert client.steps.feedback.create(step.id, feedback=None).feedback is None
    with pytest.raises(UnprocessableEntityError):
        client.steps.feedback.create(step.id, feedback="so-so")  # type: ignore[arg-type]


def test_a_malformed_step_id_is_422_with_an_example(client: Letta) -> None:
    with pytest.raises(UnprocessableEntityError) as refused:
        client.steps.retrieve("step-1")
    assert refused.value.response.json()["examples"][0].startswith("step-")
    with pytest.raises(NotFoundError):
        client.steps.retrieve(new_id("step"))
