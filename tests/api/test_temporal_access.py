"""What whoever reaches Temporal can do without the server's token."""

import json
from collections.abc import Iterator
from datetime import timedelta

import httpx
import psutil
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.support.approvals import answer, approval, ask, guarded_agent, memory_of, request_of
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider
from tests.support.terminal import history_of, signal, update
from workflows.contract import CallRef

TOKEN = "open sesame"


@pytest.fixture(scope="module")
def closed(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose API wants a token."""
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    env |= {"O_API_TOKEN": TOKEN, "O_WORKERS": "1"}
    product = Product(tmp_path_factory.mktemp("closed") / "o", env)
    product.start()
    yield product
    product.stop()


def thread_of(server: Product, agent: AgentState) -> str:
    ((thread,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    return str(thread)


def test_where_a_token_is_set_nobody_decides_without_it(closed: Product) -> None:
    client = Letta(base_url=closed.url, api_key=TOKEN)
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    verdict = {"tool_call_id": request.tool_call.tool_call_id, "approve": True}
    thread = thread_of(closed, agent)
    with pytest.raises(AssertionError, match="O_TEMPORAL_DECISIONS=1"):
        update(closed, thread, "decide", **verdict)
    signal(closed, thread, "decide", json.dumps(verdict))
    eventually(
        lambda: (
            history_of(closed, thread).count('"ACTIVITY_TASK_FAILED"') >= 2
            or history_of(closed, thread).count("EVENT_TYPE_ACTIVITY_TASK_FAILED") >= 2
        )
    )
    assert client.agents.retrieve(agent.id).pending_approval.id == request.id
    assert memory_of(client, agent) == "nothing"
    said = answer(client, agent, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert memory_of(client, agent).count("likes tea") == 1


def test_what_lies_in_the_queues_is_shown_to_callers_with_the_token_only(closed: Product) -> None:
    url = f"{closed.url}/v1/ready/"
    eventually(lambda: httpx.get(url).json()["workers"] == "ok", what="a look")
    assert httpx.get(url).json().keys() == {"version", "status", "temporal", "workers"}
    shown = httpx.get(url, headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert shown["longest_wait_s"] == 0


def test_the_start_says_what_a_token_does_not_close(closed: Product) -> None:
    said = closed.log_path.read_text()
    assert "Temporal asks nobody for O_API_TOKEN" in said
    assert "unless O_TEMPORAL_DECISIONS=1" in said


def test_temporals_http_api_takes_nothing(server: Product) -> None:
    """A page in a browser could post to it."""
    known = {
        int(server.state[name].rpartition(":")[2]) for name in ("temporal_address", "temporal_ui")
    }
    temporal = psutil.Process(server.pid_of("temporal"))
    ports = {
        one.laddr.port
        for one in temporal.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port not in known
    }
    refused = 0
    for port in ports:
        url = f"http://127.0.0.1:{port}/api/v1/namespaces/default/workflows/one/signal/decide"
        try:
            answered = httpx.post(url, json={}, timeout=5)
        except httpx.RemoteProtocolError:  # gRPC
            continue
        assert answered.status_code in (403, 404)
        refused += "Host not allowed" in answered.text
    assert refused == 1


@workflow.defn
class Forged:
    """What somebody else's workflow asks O's workers for."""

    @workflow.run
    async def run(self, call: CallRef) -> None:
        await workflow.execute_activity(
            "run_tool",
            call,
            task_queue="o",
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_a_guarded_call_is_not_made_for_whoever_asks_a_worker_for_it(
    server: Product, client: Letta
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    # Any open run will do to a forger; here the run of the request is opened for him.
    server.query("UPDATE runs SET status = 'running' WHERE id = %s", request.run_id)
    temporal = await Client.connect(server.state["temporal_address"])
    async with Worker(
        temporal,
        task_queue="forged",
        workflows=[Forged],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        call = CallRef(request.run_id, 0, 0, "memory_insert", asked_in=request.run_id)
        with pytest.raises(WorkflowFailureError) as failed:
            await temporal.execute_workflow(
                Forged.run, call, id=f"forged-{agent.id}", task_queue="forged"
            )
    server.query("UPDATE runs SET status = 'completed' WHERE id = %s", request.run_id)
    assert "was not approved" in str(failed.value.cause.__cause__)
    assert memory_of(client, agent) == "nothing"
