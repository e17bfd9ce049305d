"""Another model where an agent's own does not answer."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.api.test_failing_models import BROKEN, NO_KEY, said, send
from tests.api.test_words_of_providers import decoded
from tests.support.executions import executions_of
from tests.support.failing import Failing, FailingProvider
from tests.support.product import Product
from tests.support.provider import HANDLE, MODEL, call, do, say

OTHER = f"groq/{MODEL}"
LONG = Failing(400, {"message": "x", "code": "context_length_exceeded"})
FALLBACK: dict[str, Any] = {"provider_type": "openai", "fallback_models": [OTHER]}


@pytest.fixture(scope="module")
def first() -> Iterator[FailingProvider]:
    provider = FailingProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def second() -> Iterator[FailingProvider]:
    provider = FailingProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def product(
    first: FailingProvider, second: FailingProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": first.url,
        "GROQ_API_KEY": "gsk-test",
        "GROQ_BASE_URL": second.url,
        "O_WORKERS": "1",
        "O_PROVIDER_REST_CONVERSATIONS": "0",
    }
    product = Product(tmp_path_factory.mktemp("fallback") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def letta(product: Product) -> Letta:
    return product.client(max_retries=0)


def new_agent(letta: Letta, **settings: Any) -> AgentState:
    blocks: Any = [{"label": "human", "value": ""}]
    given: Any = FALLBACK | settings
    return letta.agents.create(model=HANDLE, memory_blocks=blocks, model_settings=given)


@pytest.mark.parametrize(
    ("failing_so", "requests"),
    [
        (NO_KEY, 1),
        (Failing(402, {"message": "x"}), 1),
        (Failing(404, {"message": "x"}), 1),
        (BROKEN, 3),
        (Failing(429, {"message": "x"}, {"retry-after": "0"}), 3),
        (Failing(429, {"message": "x"}, {"retry-after": "50"}), 1),
    ],
    ids=["no key", "no money", "no model", "broken", "busy", "busy for long"],
)
async def test_another_model_answers_and_every_record_names_it(
    product: Product,
    first: FailingProvider,
    second: FailingProvider,
    letta: Letta,
    failing_so: Failing,
    requests: int,
) -> None:
    first.fail(always=failing_so)
    second.fail()
    agent = new_agent(letta)
    assert said(send(product, agent, "hello")) == ["You said: hello"]
    assert (first.taken, second.taken) == (requests, 1)
    (step,) = letta.steps.list(agent_id=agent.id)
    assert (step.status, step.api_model_handle, step.provider_name) == ("success", OTHER, "groq")
    ((_, history),) = await executions_of(product, agent)
    text = decoded(history)
    assert f"model {HANDLE} " in text
    assert f"model {OTHER} " in text
    first.fail()
    assert said(send(product, agent, "and now?")) == ["You said: and now?"]
    assert (first.taken, second.taken) == (1, 1), "the next turn begins with the agent's own model"
    assert first.problems == second.problems == []


def test_another_model_that_fails_once_is_asked_the_same_again(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=BROKEN)
    second.fail(BROKEN)
    agent = new_agent(letta)
    assert said(send(product, agent, "hello")) == ["You said: hello"]
    assert (first.taken, second.taken) == (3, 2)
    assert "parallel_tool_calls" in second.requests[-1], "nothing is left out of it"


def test_the_steps_that_follow_ask_the_model_that_answered(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=NO_KEY)
    second.fail()
    agent = new_agent(letta)
    text = do(call("memory_insert", label="human", new_string="Ada"), say("done"))
    assert said(send(product, agent, text)) == ["done"]
    assert (first.taken, second.taken) == (1, 2)
    handles = [step.api_model_handle for step in letta.steps.list(agent_id=agent.id)]
    assert handles == [OTHER, OTHER]


def test_when_no_model_answers_the_last_ones_error_is_told(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=NO_KEY)
    second.fail(always=Failing(402, {"message": "no money at all"}))
    agent = new_agent(letta, fallback_models=[HANDLE, OTHER, OTHER])
    answer = send(product, agent, "hello")
    assert (answer.status_code, answer.json()["error"]["type"]) == (402, "llm_insufficient_credits")
    assert "no money at all" in answer.json()["error"]["detail"]
    assert (first.taken, second.taken) == (1, 1), "each model once"
    first.fail()
    assert said(send(product, agent, "and now?")) == ["You said: and now?"]


def test_what_is_wrong_with_the_request_goes_to_another_model_only_where_that_is_set(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=LONG)
    second.fail()
    answer = send(product, new_agent(letta), "hello")
    assert answer.json()["error"]["type"] == "context_window_exceeded"
    assert second.taken == 0
    agent = new_agent(letta, fallback_also_on=["context_window"])
    assert said(send(product, agent, "hello")) == ["You said: hello"]


def test_a_stream_that_another_model_goes_on_with_is_whole(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(Failing(cuts=2), always=NO_KEY)
    second.fail()
    agent = new_agent(letta)
    pieces: dict[str, str] = {}
    for event in letta.agents.messages.create(
        agent.id, input="hello", streaming=True, stream_tokens=True
    ):
        if event.message_type == "assistant_message":
            pieces[event.id] = pieces.get(event.id, "") + str(event.content)
    assert list(pieces.values())[-1] == "You said: hello"
    stored = letta.agents.messages.list(agent.id).items
    assert [m.message_type for m in stored][1:] == ["user_message", "assistant_message"]


def test_a_conversation_has_models_of_its_own_to_turn_to(
    product: Product, first: FailingProvider, second: FailingProvider, letta: Letta
) -> None:
    first.fail(always=NO_KEY)
    second.fail()
    agent = letta.agents.create(model=HANDLE)
    settings: Any = FALLBACK
    made = letta.conversations.create(
        agent_id=agent.id, extra_body={"model": HANDLE, "model_settings": settings}
    )
    url = f"{product.url}/v1/conversations/{made.id}/messages"
    answer = httpx.post(url, json={"input": "hello", "streaming": False}, timeout=60)
    assert said(answer) == ["You said: hello"]


def test_they_are_kept_shown_and_checked(letta: Letta, product: Product) -> None:
    agent = new_agent(letta)
    url = f"{product.url}/v1/agents/{agent.id}"
    assert httpx.get(url).json()["model_settings"]["fallback_models"] == [OTHER]
    letta.agents.retrieve(agent.id)
    for wrong, status in (
        ({"fallback_models": ["no-handle"]}, 422),
        ({"fallback_models": [OTHER] * 6}, 422),
        ({"fallback_models": "groq/x"}, 422),
        ({"fallback_also_on": ["rate_limit"]}, 422),
        ({"fallback_models": ["nobody/x"]}, 404),
    ):
        answer = httpx.patch(url, json={"model_settings": FALLBACK | wrong})
        assert answer.status_code == status, answer.text
    answer = httpx.patch(url, json={"model_settings": {"provider_type": "openai"}})
    assert "fallback_models" not in answer.json()["model_settings"]
