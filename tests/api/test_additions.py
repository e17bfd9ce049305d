"""What a provider adds to its replies comes back to it, and reaches no other."""

from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import call, do, say, together
from tests.support.strict_additions import StrictProviders

HANDLES = {
    "plain": "openai/strict",
    "deepseek": "deepseek/strict",
    "gemini": "together/strict",
    "openrouter": "openrouter/maker/strict",
}
WHO_ADD = ["deepseek", "gemini", "openrouter"]


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictProviders]:
    providers = StrictProviders()
    providers.start()
    yield providers
    providers.stop()


@pytest.fixture(scope="module")
def product(strict: StrictProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    names = {name: handle.partition("/")[0].upper() for name, handle in HANDLES.items()}
    env = {"O_WORKERS": "1"} | {f"{name}_API_KEY": "k-12345678" for name in names.values()}
    env |= {f"{name}_BASE_URL": strict.url(style) for style, name in names.items()}
    product = Product(tmp_path_factory.mktemp("additions") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def user(product: Product, strict: StrictProviders) -> Letta:
    strict.refusals.clear()
    for prompts in strict.prompts.values():
        prompts.clear()
    return product.client(max_retries=0)


def agent_of(user: Letta, style: str) -> AgentState:
    return user.agents.create(
        model=HANDLES[style], memory_blocks=[{"label": "human", "value": "Nothing."}]
    )


def note(text: str) -> dict[str, object]:
    return call("memory_insert", label="human", new_string=text)


TURN = do(note("one"), together(note("two"), note("three")), say("noted"))


def send(
    user: Letta, agent: AgentState, text: str, *, model: str = "", streams: bool = False
) -> str:
    """Send a message; answers the last text of the agent."""
    more: Any = {"override_model": model} if model else {}
    if streams:
        events = user.agents.messages.create(
            agent.id, input=text, streaming=True, stream_tokens=True, **more
        )
        return "".join(e.content for e in events if e.message_type == "assistant_message")
    reply = user.agents.messages.create(agent.id, input=text, **more)
    return str(reply.messages[-1].content)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("style", WHO_ADD)
def test_it_comes_back_in_the_turn_and_in_the_next_one(
    user: Letta, strict: StrictProviders, style: str, streams: bool
) -> None:
    agent = agent_of(user, style)
    assert send(user, agent, TURN, streams=streams) == "noted"
    assert send(user, agent, "And?", streams=streams) == "You said: And?"
    assert send(user, agent, TURN, streams=streams) == "noted"
    assert strict.refusals == []
    assert user.agents.blocks.retrieve("human", agent_id=agent.id).value.count("two") == 2


@pytest.mark.parametrize("style", WHO_ADD)
def test_another_provider_is_not_shown_it_and_the_first_one_is_again(
    user: Letta, strict: StrictProviders, style: str
) -> None:
    agent = agent_of(user, style)
    send(user, agent, TURN)
    for other in (name for name in HANDLES if name != style):
        assert send(user, agent, "And you?", model=HANDLES[other]) == "You said: And you?"
    assert send(user, agent, "And?") == "You said: And?"
    assert strict.refusals == []
    assert strict.prompts["plain"], "the strictest of all was asked"


def test_a_history_of_all_of_them_is_read_by_each(user: Letta, strict: StrictProviders) -> None:
    agent = agent_of(user, "deepseek")
    for _ in range(2):
        for handle in HANDLES.values():
            assert send(user, agent, TURN, model=handle) == "noted"
    assert strict.refusals == []


@pytest.mark.parametrize("style", WHO_ADD)
def test_it_comes_back_behind_an_approval(user: Letta, strict: StrictProviders, style: str) -> None:
    agent = agent_of(user, style)
    user.agents.tools.update_approval(
        "memory_insert", agent_id=agent.id, body_requires_approval=True
    )
    asked = user.agents.messages.create(agent.id, input=do(note("one"), say("noted")))
    request = next(m for m in asked.messages if m.message_type == "approval_request_message")
    approval = {"type": "approval", "approve": True, "tool_call_id": request.tool_call.tool_call_id}
    answer = user.agents.messages.create(
        agent.id, messages=[{"type": "approval", "approvals": [approval]}]
    )
    assert answer.messages[-1].content == "noted"
    assert strict.refusals == []


def test_it_is_in_the_database_and_not_in_what_clients_see(
    product: Product, strict: StrictProviders
) -> None:
    user = product.client(max_retries=0)
    agents = {style: agent_of(user, style) for style in WHO_ADD}
    for agent in agents.values():
        send(user, agent, TURN)
    product.stop()
    product.start()
    user = product.client(max_retries=0)
    for agent in agents.values():
        assert send(user, agent, "And?") == "You said: And?"
        shown = user.agents.messages.list(agent.id, limit=100)
        assert not any("signed " in m.to_json() or "sealed " in m.to_json() for m in shown)
    assert strict.refusals == []
