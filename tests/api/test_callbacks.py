"""Callbacks: a client's own server is told how a run ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState
from letta_client.types.agents import Run
from temporalio.client import Client, WorkflowFailureError

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say
from tests.support.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def called_back(client: Letta, run: Run) -> Run:
    """The run once its callback is over."""
    return shows(client, run, "callback_sent_at")


def shows(client: Letta, run: Run, field: str) -> Run:
    """The run once this field of it is set."""

    def look() -> Run | None:
        found = client.runs.retrieve(run.id)
        return found if getattr(found, field) is not None else None

    return eventually(look, what=f"the run's {field}")


def test_a_callback_tells_what_the_answer_would_have_told(
    client: Letta, agent: AgentState, receiver: Receiver
) -> None:
    url = receiver.url("/done?token=secret")
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    run = client.agents.messages.create_async(agent.id, input=text, callback_url=url)
    assert run.callback_url == url
    (told,) = receiver.await_calls("/done?token=secret")
    done = called_back(client, run)
    assert (done.callback_status_code, done.callback_error) == (200, None)
    assert done.completed_at is not None
    assert told.keys() == {"run_id", "status", "completed_at", "metadata"}
    assert (told["run_id"], told["status"]) == (run.id, "completed")
    assert told["completed_at"] == done.completed_at.strftime("%Y-%m-%dT%H:%M:%S.%f")
    assert told["metadata"]["run_type"] == "send_message_async"
    result = told["metadata"]["result"]
    assert [message["message_type"] for message in result["messages"]] == [
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert result["stop_reason"]["stop_reason"] == "end_turn"
    assert result["usage"]["step_count"] == 2
    assert len(receiver.received) == 1


def test_a_callback_shows_messages_as_its_request_asked(
    client: Letta, agent: AgentState, receiver: Receiver
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    client.agents.messages.create_async(
        agent.id,
        input=text,
        callback_url=receiver.url("/some"),
        include_return_message_types=["assistant_message"],
    )
    (told,) = receiver.await_calls("/some")
    assert [one["content"] for one in told["metadata"]["result"]["messages"]] == ["done"]


def test_a_failed_run_is_told_of_with_its_error(
    client: Letta, agent: AgentState, receiver: Receiver
) -> None:
    run = client.agents.messages.create_async(
        agent.id, input=do({"fail": 401}), callback_url=receiver.url("/failed")
    )
    (told,) = receiver.await_calls("/failed")
    assert told["status"] == "failed"
    assert told["metadata"]["result"]["error"]["type"] == "llm_authentication"
    assert told["metadata"]["error"] == (called_back(client, run).metadata or {})["error"]


def test_a_cancelled_run_is_told_of(
    client: Letta, agent: AgentState, receiver: Receiver, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "never mind")
    run = client.agents.messages.create_async(
        agent.id, input="never mind", callback_url=receiver.url("/cancelled")
    )
    assert gate.reached.wait(20)
    client.agents.messages.cancel(agent.id, run_ids=[run.id])
    (told,) = receiver.await_calls("/cancelled")
    gate.opened.set()
    assert (told["run_id"], told["status"]) == (run.id, "cancelled")
    assert told["metadata"]["result"]["stop_reason"]["stop_reason"] == "cancelled"


def test_a_receiver_that_is_down_is_asked_again(
    client: Letta, agent: AgentState, receiver: Receiver
) -> None:
    receiver.answer = lambda before: 503 if before == 0 else 204
    run = client.agents.messages.create_async(
        agent.id, input="hello", callback_url=receiver.url("/flaky")
    )
    receiver.await_calls("/flaky")
    tried = shows(client, run, "callback_error")
    assert (tried.callback_status_code, tried.callback_sent_at) == (503, None)
    first, second = receiver.await_calls("/flaky", 2)
    assert first == second
    done = called_back(client, run)
    assert (done.callback_status_code, done.callback_error) == (204, None)


def test_a_repeated_send_is_called_back_once(
    client: Letta, agent: AgentState, receiver: Receiver
) -> None:
    message: dict[str, Any] = {"role": "user", "content": "hello", "otid": "callback-once"}
    for _ in range(3):
        run = client.agents.messages.create_async(
            agent.id, messages=[message], callback_url=receiver.url("/once")
        )
    called_back(client, run)
    last = client.agents.messages.create_async(
        agent.id, input="another", callback_url=receiver.url("/last")
    )
    called_back(client, last)
    assert len(receiver.on("/once")) == 1


@pytest.fixture
def small(provider: FakeProvider, tmp_path: Path) -> Iterator[Product]:
    """A product that gives a callback up after two tries."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_CALLBACK_ATTEMPTS": "2",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path / "o", env)
    product.start()
    yield product
    product.stop()


async def test_what_cannot_be_told_is_given_up_and_recorded(
    small: Product, receiver: Receiver
) -> None:
    client = small.client()
    agent = client.agents.create(model=HANDLE)

    def send(url: str) -> Run:
        return client.agents.messages.create_async(agent.id, input="hi", callback_url=url)

    receiver.answer = lambda _: 302
    moved = send(receiver.url("/moved?token=secret"))
    unreachable = send("http://127.0.0.1:9/?token=secret")
    gone = called_back(client, moved)
    assert (gone.callback_status_code, gone.callback_error) == (302, "The receiver answered 302.")
    assert len(receiver.on("/moved?token=secret")) == 2
    assert receiver.on("/elsewhere") == [], "redirects are not followed"
    lost = called_back(client, unreachable)
    assert lost.callback_status_code is None
    assert "could not be reached" in str(lost.callback_error)
    assert "secret" not in str(lost.callback_error)
    logs = [log.read_text() for log in (small.data_dir / "logs").glob("*.log")]
    assert any("callback tried" in log for log in logs)
    assert not any("token=secret" in log for log in logs)
    temporal = await Client.connect(small.state["temporal_address"])
    with pytest.raises(WorkflowFailureError):
        await temporal.get_workflow_handle(f"callback-{moved.id}").result()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:80/x",
        "http://localhost.localdomain.invalid@127.0.0.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:5432/",
        "https://10.0.0.1/",
        "http://2130706434/",
    ],
)
def test_a_callback_to_an_address_that_is_not_public_is_422(
    client: Letta, agent: AgentState, url: str
) -> None:
    with pytest.raises(APIStatusError) as refused:
        client.agents.messages.create_async(agent.id, input="hello", callback_url=url)
    assert refused.value.status_code == 422
    assert "O_OUTBOUND_ALLOW" in str(refused.value)
    assert client.runs.list(agent_id=agent.id).items == []


def test_a_callback_whose_address_became_private_is_given_up_without_a_packet(
    server: Product, client: Letta, agent: AgentState, receiver: Receiver, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "soon")
    run = client.agents.messages.create_async(
        agent.id, input="soon", callback_url=receiver.url("/inner")
    )
    assert gate.reached.wait(20)
    inner = receiver.url("/inner").replace("127.0.0.1", "127.0.0.2")
    server.query("UPDATE runs SET callback_url = %s WHERE id = %s", inner, run.id)
    gate.opened.set()
    done = called_back(client, run)
    assert done.callback_status_code is None
    assert "no public address" in str(done.callback_error)
    assert receiver.on("/inner") == []
