"""Many at once: what is sent together is answered one by one, none lost, none doubled."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from letta_client import AsyncLetta, ConflictError
from letta_client.types import AgentState

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, Gate, last_user_text

_MANY = 100
_AGENTS = 50
_CANCELS = 20


@pytest.fixture(scope="module")
def roomy(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product in which hundreds of messages may wait in one conversation."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_QUEUE_LIMIT": "200",
    }
    product = Product(tmp_path_factory.mktemp("roomy") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
async def speaker(roomy: Product) -> AsyncIterator[AsyncLetta]:
    """The official client, for many requests at once."""
    async with speaking_to(roomy) as client:
        yield client


def speaking_to(product: Product) -> AsyncLetta:
    """To be closed: sockets that the collector closes break those that get their numbers."""
    return AsyncLetta(base_url=product.url, api_key="unused", max_retries=0, timeout=100)


async def new_agent(client: AsyncLetta) -> AgentState:
    return await client.agents.create(
        name="crowded", model=HANDLE, memory_blocks=[{"label": "human", "value": "unknown"}]
    )


async def ask(client: AsyncLetta, agent: AgentState, text: str) -> str:
    """What is answered to a message, which must be all that is answered."""
    response = await client.agents.messages.create(agent.id, input=text)
    (message,) = response.messages
    assert message.message_type == "assistant_message"
    assert response.stop_reason.stop_reason == "end_turn"
    return str(message.content)


async def history_of(client: AsyncLetta, agent: AgentState) -> list[tuple[str, Any]]:
    """All that an agent's own thread holds behind its prompt, oldest first."""
    return shown((await client.agents.messages.list(agent.id, order="asc", limit=1_000)).items)


def shown(listed: list[Any]) -> list[tuple[str, Any]]:
    """Kinds and contents of a whole history but for the prompt at its head."""
    return [(one.message_type, getattr(one, "content", None)) for one in listed][1:]


def in_pairs(texts: list[str]) -> list[tuple[str, Any]]:
    """The history in which each of these messages has its answer behind it."""
    return [
        entry
        for text in texts
        for entry in (("user_message", text), ("assistant_message", f"You said: {text}"))
    ]


@dataclass(frozen=True)
class Queue:
    """A run that waits for its model at a gate, and many that wait for it."""

    gate: Gate
    first: str
    runs: list[str]


async def queue_behind_a_gate(
    client: AsyncLetta, provider: FakeProvider, agent: AgentState
) -> Queue:
    first = f"{agent.id} first"
    gate = hold(provider, first)
    runs = [await client.agents.messages.create_async(agent.id, input=first)]
    await reached(gate)
    later = (client.agents.messages.create_async(agent.id, input=text) for text in texts_for(agent))
    runs += await asyncio.gather(*later)
    return Queue(gate, first, [run.id for run in runs])


async def check_cancelled(
    client: AsyncLetta, provider: FakeProvider, agent: AgentState, queue: Queue
) -> None:
    """All runs are cancelled, only the first left its message, and the agent goes on."""
    queue.gate.opened.set()
    runs = (await client.runs.list(agent_id=agent.id, limit=1_000)).items
    assert {run.id for run in runs} == set(queue.runs)
    assert {run.status for run in runs} == {"cancelled"}
    assert await history_of(client, agent) == [("user_message", queue.first)]
    assert await ask(client, agent, "and now?") == "You said: and now?"
    assert [text for text in texts_for(agent) if provider.asked(text)] == []
    assert provider.problems == []


def texts_for(agent: AgentState) -> list[str]:
    """Messages that no other agent is sent."""
    return [f"{agent.id} {n}" for n in range(_MANY)]


async def cancel_again_and_again(client: AsyncLetta, agent: AgentState) -> int:
    """How many runs were cancelled."""
    cancelled = 0
    for _ in range(_CANCELS):
        with suppress(ConflictError):  # there is nothing to cancel
            cancelled += len(await client.agents.messages.cancel(agent.id))
    return cancelled


async def post_and_leave(client: AsyncLetta, conversation_id: str, text: str) -> None:
    """Send a message, and hang up once it is taken."""
    stream = await client.conversations.messages.create(conversation_id, input=text)
    await stream.close()


def open_runs_of(product: Product, agent: AgentState) -> list[Any]:
    return product.query(
        "SELECT id FROM runs WHERE agent_id = %s AND status IN ('created', 'running')", agent.id
    )


def hold(provider: FakeProvider, text: str) -> Gate:
    """Keep the model from answering this message until the gate is opened."""
    return provider.hold(lambda prompt: last_user_text(prompt) == text)


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.reached.wait, 20)


async def test_a_hundred_messages_sent_at_once_to_one_agent_get_each_its_own_answer(
    roomy: Product, speaker: AsyncLetta, provider: FakeProvider
) -> None:
    agent = await new_agent(speaker)
    texts = texts_for(agent)
    answers = await asyncio.gather(*(ask(speaker, agent, text) for text in texts))
    assert answers == [f"You said: {text}" for text in texts]
    runs = (await speaker.runs.list(agent_id=agent.id, limit=1_000)).items
    assert [run.status for run in runs] == ["completed"] * _MANY
    taken = roomy.query(
        "SELECT input #>> '{0,parts,0,text}' FROM runs WHERE agent_id = %s ORDER BY started_at",
        agent.id,
    )
    assert await history_of(speaker, agent) == in_pairs([text for (text,) in taken])
    assert [provider.asked(text) for text in texts] == [1] * _MANY
    assert provider.problems == []
    log = (roomy.data_dir / "logs" / "temporal.log").read_text()
    assert "concurrent in-flight updates" not in log, "Temporal aborts all when they are too many"


@pytest.mark.parametrize("each", [1, 2])
async def test_fifty_agents_that_are_spoken_to_at_once_answer_each_its_own_messages(
    speaker: AsyncLetta, provider: FakeProvider, each: int
) -> None:
    agents = [await new_agent(speaker) for _ in range(_AGENTS)]
    sent = [(agent, f"{agent.id} {n}") for n in range(each) for agent in agents]
    answers = await asyncio.gather(*(ask(speaker, agent, text) for agent, text in sent))
    assert answers == [f"You said: {text}" for _, text in sent]
    for agent in agents:
        history = await history_of(speaker, agent)
        texts = [text for kind, text in history if kind == "user_message"]
        assert sorted(texts) == [f"{agent.id} {n}" for n in range(each)]
        assert history == in_pairs(texts)
    assert provider.problems == []


async def test_two_conversations_of_an_agent_go_on_at_once_and_each_in_its_order(
    roomy: Product, speaker: AsyncLetta, provider: FakeProvider
) -> None:
    agent = await new_agent(speaker)
    threads = [(await speaker.conversations.create(agent_id=agent.id)).id for _ in range(2)]
    texts = {thread: [f"{thread} {n}" for n in range(10)] for thread in threads}
    held = [hold(provider, texts[thread][0]) for thread in threads]
    for n in range(10):
        for thread in threads:
            await post_and_leave(speaker, thread, texts[thread][n])
    for gate in held:
        await reached(gate)
    open_runs = (await speaker.runs.list(agent_id=agent.id, active=True, limit=100)).items
    under_way = [run.conversation_id for run in open_runs if run.status == "running"]
    assert sorted(map(str, under_way)) == sorted(threads)
    assert len(open_runs) == 2 * 10
    for gate in held:
        gate.opened.set()
    await asyncio.to_thread(eventually, lambda: not open_runs_of(roomy, agent))
    for thread in threads:
        listed = await speaker.conversations.messages.list(thread, order="asc", limit=100)
        assert shown(listed.items) == in_pairs(texts[thread])
    assert provider.problems == []


async def test_a_cancel_closes_a_queue_of_a_hundred_of_which_one_had_begun(
    speaker: AsyncLetta, provider: FakeProvider
) -> None:
    agent = await new_agent(speaker)
    sent = await queue_behind_a_gate(speaker, provider, agent)
    result = await speaker.agents.messages.cancel(agent.id)
    assert result == dict.fromkeys(sent.runs, "cancelled")
    await check_cancelled(speaker, provider, agent, sent)


async def test_of_twenty_cancels_at_once_each_run_is_cancelled_by_one(
    speaker: AsyncLetta, provider: FakeProvider
) -> None:
    agent = await new_agent(speaker)
    sent = await queue_behind_a_gate(speaker, provider, agent)
    cancels = (speaker.agents.messages.cancel(agent.id) for _ in range(_CANCELS))
    results = await asyncio.gather(*cancels, return_exceptions=True)
    told = [run_id for found in results if isinstance(found, dict) for run_id in found]
    assert sorted(told) == sorted(sent.runs)
    refused = [found for found in results if not isinstance(found, dict)]
    assert all(isinstance(one, ConflictError) for one in refused), refused
    await check_cancelled(speaker, provider, agent, sent)


async def test_messages_and_cancels_that_meet_leave_no_message_without_an_end(
    speaker: AsyncLetta, provider: FakeProvider
) -> None:
    agent = await new_agent(speaker)
    texts = texts_for(agent)
    posts = (speaker.agents.messages.create(agent.id, input=text) for text in texts)
    answers, cancelled = await asyncio.gather(
        asyncio.gather(*posts), cancel_again_and_again(speaker, agent)
    )
    ends = [answer.stop_reason.stop_reason for answer in answers]
    assert set(ends) <= {"end_turn", "cancelled"}
    assert ends.count("cancelled") == cancelled
    for text, answer, end in zip(texts, answers, ends, strict=True):
        said = [message.content for message in answer.messages]
        assert said == ([f"You said: {text}"] if end == "end_turn" else [])
    assert await ask(speaker, agent, "still there?") == "You said: still there?"
    history = await history_of(speaker, agent)
    answered = [text for kind, text in history if kind == "assistant_message"]
    assert len(answered) == len(set(answered)) == ends.count("end_turn") + 1
    assert provider.problems == []
