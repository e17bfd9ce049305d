"""Many at once: what is sent together is answered one by one, none lost, none doubled."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import AsyncLetta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider

_MANY = 100
_AGENTS = 50


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


def speaker(product: Product) -> AsyncLetta:
    """The official client, for many requests at once."""
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
    listed = await client.agents.messages.list(agent.id, order="asc", limit=1_000)
    return [(one.message_type, getattr(one, "content", None)) for one in listed.items][1:]


def in_pairs(texts: list[str]) -> list[tuple[str, Any]]:
    """The history in which each of these messages has its answer behind it."""
    return [
        entry
        for text in texts
        for entry in (("user_message", text), ("assistant_message", f"You said: {text}"))
    ]


async def test_a_hundred_messages_sent_at_once_to_one_agent_get_each_its_own_answer(
    roomy: Product, provider: FakeProvider
) -> None:
    client = speaker(roomy)
    agent = await new_agent(client)
    texts = [f"{agent.id} {n}" for n in range(_MANY)]
    answers = await asyncio.gather(*(ask(client, agent, text) for text in texts))
    assert answers == [f"You said: {text}" for text in texts]
    runs = (await client.runs.list(agent_id=agent.id, limit=1_000)).items
    assert [run.status for run in runs] == ["completed"] * _MANY
    taken = roomy.query(
        "SELECT input #>> '{0,parts,0,text}' FROM runs WHERE agent_id = %s ORDER BY started_at",
        agent.id,
    )
    assert await history_of(client, agent) == in_pairs([text for (text,) in taken])
    assert [provider.asked(text) for text in texts] == [1] * _MANY
    assert provider.problems == []


@pytest.mark.parametrize("each", [1, 2])
async def test_fifty_agents_that_are_spoken_to_at_once_answer_each_its_own_messages(
    roomy: Product, provider: FakeProvider, each: int
) -> None:
    client = speaker(roomy)
    agents = [await new_agent(client) for _ in range(_AGENTS)]
    sent = [(agent, f"{agent.id} {n}") for n in range(each) for agent in agents]
    answers = await asyncio.gather(*(ask(client, agent, text) for agent, text in sent))
    assert answers == [f"You said: {text}" for _, text in sent]
    for agent in agents:
        history = await history_of(client, agent)
        texts = [text for kind, text in history if kind == "user_message"]
        assert sorted(texts) == [f"{agent.id} {n}" for n in range(each)]
        assert history == in_pairs(texts)
    assert provider.problems == []
