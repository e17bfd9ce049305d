"""What waits for a person is still there, and can still be answered, whatever was taken away."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from letta_client.types import AgentState
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from tests.chaos.killing import (
    KillableProduct,
    Sending,
    assert_next_message_is_accepted,
    assert_notes,
    new_agent,
    patient_client,
)
from tests.chaos.waiting import await_runs, await_shown, cancel, thread_of
from tests.support.approvals import answer, approval, request_of
from tests.support.product import eventually
from tests.support.provider import FakeProvider, call, do, last_user_text, say
from tests.support.terminal import list_workflows, update, waiting

pytestmark = pytest.mark.chaos

TEXT = do(call("memory_insert", label="notes", new_string="approved"), say("done"))
QUEUED = ("first", "second", "third")


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    """One for all of them: each has an agent of its own."""
    product = KillableProduct(tmp_path_factory.mktemp("waiting") / "o", provider)
    product.start()
    yield product
    product.stop()


def lose_temporals_database(product: KillableProduct, agent: AgentState) -> None:
    product.kill("temporal")
    for file in product.data_dir.glob("temporal.db*"):
        file.unlink()


def start_again(product: KillableProduct, agent: AgentState) -> None:
    product.kill_everything()
    product.start()


def terminate(product: KillableProduct, agent: AgentState) -> None:
    """What an operator should not do."""

    async def end() -> None:
        client = await Client.connect(product.state["temporal_address"])
        await client.get_workflow_handle(thread_of(product, agent)).terminate()

    asyncio.run(end())


LOSSES = [lose_temporals_database, start_again, terminate]


def answered_through_the_api(product: KillableProduct, agent: AgentState, call_id: str) -> None:
    said = answer(patient_client(product), agent, approval(call_id))
    assert said.messages[-1].content == "done"


def answered_in_temporal(product: KillableProduct, agent: AgentState, call_id: str) -> None:
    (shown,) = await_shown(product, agent)
    assert (shown["calls"], shown["tools"]) == ([call_id], ["memory_insert"])
    update(product, thread_of(product, agent), "decide", tool_call_id=call_id, approve=True)


ANSWERS = [answered_through_the_api, answered_in_temporal]
Loss = Callable[[KillableProduct, AgentState], None]
Answer = Callable[[KillableProduct, AgentState, str], None]


def assert_answered(
    product: KillableProduct, provider: FakeProvider, agent: AgentState, *after: str
) -> None:
    """The approved call was made once, and what was said after it was answered in order."""

    def texts() -> list[str]:
        rows = product.query(
            "SELECT parts -> 0 ->> 'text' FROM messages "
            "WHERE agent_id = %s AND role = 'assistant' AND tool_calls = '[]' ORDER BY position",
            agent.id,
        )
        return [text for (text,) in rows]

    wanted = ["done", *(f"You said: {text}" for text in after)]
    eventually(lambda: texts() == wanted, within_s=60, what="the answers")
    assert_notes(product, agent, ["approved"])
    assert provider.asked(TEXT) == 2
    assert_next_message_is_accepted(product, agent)
    assert provider.problems == []


@pytest.mark.parametrize("answered", ANSWERS)
@pytest.mark.parametrize("lose", LOSSES)
def test_a_request_outlives_all_that_knew_of_it(
    product: KillableProduct, provider: FakeProvider, lose: Loss, answered: Answer
) -> None:
    provider.prompts.clear()
    agent = new_agent(product, guarded=True)
    request = request_of(Sending(product, agent, TEXT).reply())
    lose(product, agent)
    answered(product, agent, request.tool_call.tool_call_id)
    assert_answered(product, provider, agent)
    eventually(lambda: _idle(product, agent), what="the end of waiting")


def _idle(product: KillableProduct, agent: AgentState) -> bool:
    query = f"AgentId = '{agent.id}' AND RunStatus = 'idle' AND ExecutionStatus = 'Running'"
    return bool(list_workflows(product, query)) and not waiting(product, agent)


@pytest.mark.parametrize("answered", ANSWERS)
def test_messages_that_wait_behind_a_request_outlive_temporals_database_too(
    product: KillableProduct, provider: FakeProvider, answered: Answer
) -> None:
    provider.prompts.clear()
    agent = new_agent(product, guarded=True)
    held = provider.hold(lambda prompt: last_user_text(prompt) == TEXT)
    asking = Sending(product, agent, TEXT)
    assert held.reached.wait(20)
    queued = []
    for place, text in enumerate(QUEUED, start=2):
        queued.append(Sending(product, agent, text))
        await_runs(product, agent, place)
    held.opened.set()
    request = request_of(asking.reply())
    lose_temporals_database(product, agent)
    answered(product, agent, request.tool_call.tool_call_id)
    replies = [sending.reply(90).messages[-1].content for sending in queued]
    assert replies == [f"You said: {text}" for text in QUEUED]
    assert_answered(product, provider, agent, *QUEUED)


async def test_a_request_expires_although_its_execution_cannot_go_on(
    product: KillableProduct, provider: FakeProvider
) -> None:
    agent = new_agent(product, guarded=True)
    await asyncio.to_thread(lambda: request_of(Sending(product, agent, TEXT).reply()))
    client = await Client.connect(product.state["temporal_address"])
    await client.start_workflow(
        "Conversation",
        "no state",
        id=thread_of(product, agent),
        task_queue="o",
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )
    product.query("UPDATE approvals SET expires_at = now() WHERE agent_id = %s", agent.id)
    ends = [("completed", "requires_approval"), ("completed", "end_turn")]
    statement = "SELECT status, stop_reason FROM runs WHERE agent_id = %s ORDER BY created_at"
    await asyncio.to_thread(
        eventually, lambda: product.query(statement, agent.id) == ends, within_s=60, what="the end"
    )
    assert_notes(product, agent, [])
    await asyncio.to_thread(assert_next_message_is_accepted, product, agent)
    assert provider.problems == []


async def test_an_execution_whose_whole_queue_is_cancelled_goes_on(
    product: KillableProduct, provider: FakeProvider
) -> None:
    """The turn ends while the cancel of what stands behind it is being carried out."""
    agent = new_agent(product)
    thread = thread_of(product, agent)
    held = provider.hold(lambda prompt: last_user_text(prompt) == "first")
    first = Sending(product, agent, "first")
    assert await asyncio.to_thread(held.reached.wait, 20)
    behind = Sending(product, agent, "behind")
    (_, run_id) = await_runs(product, agent, 2)
    with product.stopped_at("cancel-done") as reached:
        cancel(product, agent, run_id)
        await asyncio.to_thread(reached)
        held.opened.set()
        first_reply = await asyncio.to_thread(first.reply)
        assert first_reply.messages[-1].content == "You said: first"
        await _only_the_cancel_is_left(product, thread)
    assert behind.reply().stop_reason.stop_reason == "cancelled"
    await asyncio.to_thread(assert_next_message_is_accepted, product, agent)
    (execution,) = list_workflows(product, f"WorkflowId = '{thread}'")
    assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"


async def _only_the_cancel_is_left(product: KillableProduct, thread: str) -> None:
    client = await Client.connect(product.state["temporal_address"])
    async with asyncio.timeout(20):
        while True:
            found = (await client.get_workflow_handle(thread).describe()).raw_description
            left = [one.activity_type.name for one in found.pending_activities]
            if left == ["cancel_runs"] and not found.HasField("pending_workflow_task"):
                return
            await asyncio.sleep(0.02)
