"""What Temporal holds: short histories of ids, readable in its UI."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from letta_client import Letta
from letta_client.types import AgentState
from temporalio.worker import Replayer

from server.worker.queues import WORKFLOW_RUNNER
from tests.support.executions import executions_of
from tests.support.product import Product
from tests.support.provider import call, do, say
from workflows.conversation import ConversationWorkflow


async def test_a_turn_reads_in_the_temporal_ui_like_an_account_of_what_happened(
    server: Product, client: Letta, agent: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("the secret answer"))
    await asyncio.to_thread(client.agents.messages.create, agent.id, input=text)
    ((execution, history),) = await executions_of(server, agent)
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    assert execution.id == conversation_id
    names = {pair.key.name: pair.value for pair in execution.typed_search_attributes}
    assert names["AgentId"] == agent.id
    assert names["AgentName"] == "ada"
    memo = await execution.memo()
    assert memo["agent_name"] == "ada"
    shown = datetime.strptime(memo["last_message_at"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - shown) < timedelta(minutes=5)
    (run,) = client.runs.list(agent_id=agent.id).items
    (sent,) = [
        event.workflow_execution_signaled_event_attributes
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert sent.signal_name == "send"
    assert json.loads(sent.input.payloads[0].data)["run_id"] == run.id
    summaries = [
        json.loads(event.user_metadata.summary.data)
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert summaries == [
        "model openai/scripted · step 1",
        "tool memory_insert · step 1",
        "model openai/scripted · step 2",
    ]
    everything = history.to_json()
    assert "secret" not in everything
    assert "new_string" not in everything


async def test_a_long_conversation_continues_as_new_with_short_histories(
    server: Product, client: Letta, agent: AgentState
) -> None:
    for n in range(140):  # without a pause, in which it would continue as new sooner
        reply = await asyncio.to_thread(client.agents.messages.create, agent.id, input=f"n {n}")
        assert reply.messages[0].content == f"You said: n {n}"
    found = await executions_of(server, agent)
    assert len(found) >= 2
    replayer = Replayer(workflows=[ConversationWorkflow], workflow_runner=WORKFLOW_RUNNER)
    for _, history in found:
        assert len(history.events) <= 1_260
        await replayer.replay_workflow(history)


async def test_a_long_turn_continues_as_new_in_its_middle(
    server: Product, client: Letta, agent: AgentState
) -> None:
    search = call("conversation_search", query="nothing at all", roles=["assistant"])
    text = do(*[search] * 120, say("done"))
    reply = await asyncio.to_thread(
        client.agents.messages.create, agent.id, input=text, max_steps=150, timeout=100
    )
    assert reply.messages[-1].content == "done"
    assert reply.usage.step_count == 121
    found = await executions_of(server, agent)
    assert len(found) >= 2
    for _, history in found:
        assert len(history.events) < 2_000
        assert len(history.to_json()) < 1_000_000
