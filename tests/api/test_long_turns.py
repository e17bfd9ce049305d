"""Turns that last: over a long history, with many tool calls, longer than a client waits."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import DefaultHttpxClient, Letta
from letta_client.types import AgentState
from temporalio.worker import Replayer

from server.worker.queues import WORKFLOW_RUNNER
from tests.support.executions import executions_of
from tests.support.openai_client import openai_client, says, text_of
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say
from workflows.conversation import ConversationWorkflow

_CALLS = 120
_PAST = 800  # messages of a thousand characters, about 200,000 tokens
_FILL = """
WITH own AS (
    UPDATE conversations SET next_position = next_position + %s, epoch = epoch + 1
    WHERE agent_id = %s AND is_default RETURNING *
)
INSERT INTO messages
    (id, organization_id, agent_id, conversation_id, position, role, parts, created_at)
SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, own.id, next_position - n,
    CASE WHEN n %% 2 = 0 THEN 'user' ELSE 'assistant' END,
    jsonb_build_array(jsonb_build_object('type', 'text', 'text',
        left('Of pears: ' || repeat(md5(n::text) || ' ', 40), 1000))),
    now() - interval '1 second' * n
FROM own, generate_series(1, %s) AS n
"""


@pytest.fixture(scope="module")
def patient_provider() -> Iterator[FakeProvider]:
    """One whose prompts, which are long here, are forgotten after these tests."""
    provider = FakeProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def product(
    patient_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": patient_provider.url,
        "O_PING_INTERVAL_S": "0.2",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("patient") / "o", env)
    product.start()
    yield product
    product.stop()


def new_agent(product: Product) -> AgentState:
    return product.client().agents.create(
        name="patient",
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "unknown"}],
        context_window_limit=4_000_000,  # all of it has room: nothing is to be summed up
    )


def test_a_chat_completion_is_kept_alive_while_nothing_is_said(
    product: Product, patient_provider: FakeProvider
) -> None:
    agent = new_agent(product)
    text = f"think about it, {agent.id}"
    held = patient_provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    body = {"model": agent.id, "messages": says(text), "stream": True}
    lines: list[str] = []
    with httpx.stream("POST", f"{product.url}/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if lines.count(": keep-alive") == 2:
                held.opened.set()
    assert lines.count(": keep-alive") >= 2
    assert [line for line in lines if line][-1] == "data: [DONE]"
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines if "choices" in line]
    assert "You said" in "".join(delta.get("content") or "" for delta in deltas)


def test_openais_client_that_asks_again_and_again_gets_the_one_answer(
    product: Product, patient_provider: FakeProvider
) -> None:
    agent = new_agent(product)
    text = f"no hurry, {agent.id}"
    held = patient_provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    hasty = openai_client(product, timeout=0.5, max_retries=20)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            hasty.chat.completions.create, model=agent.id, messages=says(text), timeout=0.5
        )
        assert held.reached.wait(20)
        held.opened.set()
        assert text_of(waiting.result(60)) == f"You said: {text}"
    assert said(product, agent) == [text, f"You said: {text}"]
    assert patient_provider.asked(text) == 1


async def test_a_hundred_calls_over_a_long_conversation_keep_histories_short(
    product: Product, patient_provider: FakeProvider
) -> None:
    agent = new_agent(product)
    product.query(_FILL, _PAST, agent.id, _PAST)
    search = call("conversation_search", query="pears", roles=["assistant"], limit=5)
    text = do(*[search] * _CALLS, say("done"))
    reply = await asyncio.to_thread(
        product.client(max_retries=0).agents.messages.create,
        agent.id,
        input=text,
        max_steps=150,
        timeout=100,
    )
    assert reply.messages[-1].content == "done"
    assert reply.stop_reason.stop_reason == "end_turn"
    returns = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert len(returns) == _CALLS
    assert all(len(one.tool_return) > 5_000 for one in returns)
    assert len(patient_provider.prompts[-1]) == 1 + _PAST + 1 + 2 * _CALLS
    assert patient_provider.problems == []
    found = await executions_of(product, agent)
    assert len(found) >= 2, "it continued as new inside the turn"
    replayer = Replayer(workflows=[ConversationWorkflow], workflow_runner=WORKFLOW_RUNNER)
    for _, history in found:
        assert len(history.events) < 2_000
        assert len(history.to_json()) < 1_000_000
        await replayer.replay_workflow(history)


def test_a_client_that_posts_again_and_again_joins_the_one_run_and_gets_its_answer(
    product: Product, patient_provider: FakeProvider
) -> None:
    posted: list[str] = []

    def note(request: httpx.Request) -> None:
        if request.url.path.endswith("/messages"):
            posted.append(request.headers["x-stainless-retry-count"])

    agent = new_agent(product)
    text = f"take your time, {agent.id}"
    held = patient_provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    noted = DefaultHttpxClient(event_hooks={"request": [note]})
    hasty = product.client(timeout=0.5, max_retries=20, http_client=noted)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hasty.agents.messages.create, agent.id, input=text)
        eventually(lambda: len(posted) >= 3, what="the client's third request")
        held.opened.set()
        answer = waiting.result(60)
    assert posted == [str(n) for n in range(len(posted))]
    assert [m.content for m in answer.messages] == [f"You said: {text}"]
    assert said(product, agent) == [text, f"You said: {text}"]
    (run,) = hasty.runs.list(agent_id=agent.id).items
    assert run.status == "completed"
    assert patient_provider.asked(text) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_client_that_asks_again_is_kept_waiting_by_signs_of_life(
    product: Product, patient_provider: FakeProvider, fails: bool
) -> None:
    agent = new_agent(product)
    text = do(say(f"at last, {agent.id}") | ({"fail": 400} if fails else {}))
    held = patient_provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    url = f"{product.url}/v1/agents/{agent.id}/messages"

    def post(attempt: int) -> httpx.Response:
        return httpx.post(
            url, json={"input": text}, headers={"x-stainless-retry-count": str(attempt)}, timeout=60
        )

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, 0)
        assert held.reached.wait(20)
        again = httpx.stream(
            "POST", url, json={"input": text}, headers={"x-stainless-retry-count": "1"}, timeout=5
        )
        read = b""
        with again as response:
            assert response.status_code == 200
            try:
                for piece in response.iter_raw():
                    read += piece
                    if read == b"   ":
                        held.opened.set()
            except httpx.RemoteProtocolError:
                assert fails, "the connection was broken off"
        answered = first.result(60)
    assert answered.status_code == (400 if fails else 200)
    if fails:
        assert read.strip() == b""
        assert post(2).json() == answered.json()
    else:
        assert json.loads(read) == answered.json()
    assert len(product.client().runs.list(agent_id=agent.id).items) == 1


@pytest.mark.parametrize("body", [{}, {"streaming": True}])
def test_a_client_that_hangs_up_cancels_nothing(
    product: Product, patient_provider: FakeProvider, body: dict[str, Any]
) -> None:
    agent, client = new_agent(product), product.client()
    text = f"I will not wait, {agent.id}"
    held = patient_provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    url = f"{product.url}/v1/agents/{agent.id}/messages"
    headers = {"x-stainless-package-version": "1.12.1"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json={"input": text} | body, headers=headers, timeout=0.5)
    assert held.reached.wait(20)
    assert [run.status for run in client.runs.list(agent_id=agent.id)] == ["running"]
    held.opened.set()
    eventually(lambda: client.runs.list(agent_id=agent.id, statuses=["completed"]).items)
    assert said(product, agent) == [text, f"You said: {text}"]
    assert patient_provider.asked(text) == 1


def said(product: Product, agent: AgentState) -> list[Any]:
    """What was said in an agent's own thread, oldest first."""
    client: Letta = product.client()
    listed = client.agents.messages.list(agent.id, order="asc", limit=1_000).items
    return [getattr(one, "content", None) for one in listed][1:]
