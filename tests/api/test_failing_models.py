"""A provider that fails: the turn ends well, or with V1's error once all retries are spent."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.failing import Failing, FailingProvider
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

OVERLOADED = Failing(529, {"type": "overloaded_error", "message": "Overloaded"})
LIMITED = Failing(429, {"message": "slow down"}, {"retry-after": "1"})
BROKEN = Failing(500, {"message": "the server had an error"})
GARBLED = Failing(400, {"message": "Failed to call a function.", "code": "tool_use_failed"})
NO_KEY = Failing(401, {"message": "who are you?"})


@pytest.fixture(scope="module")
def failing() -> Iterator[FailingProvider]:
    provider = FailingProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def product(
    failing: FailingProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """A product that gives a model a second, and asks one that fails three times."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": failing.url,
        "O_MODEL_TIMEOUT_S": "1",
        "O_WORKERS": "1",
        "O_PROVIDER_REST_CONVERSATIONS": "0",
    }
    product = Product(tmp_path_factory.mktemp("failing") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def letta(product: Product) -> Letta:
    return product.client(max_retries=0)


@pytest.fixture
def ada(letta: Letta) -> AgentState:
    blocks: Any = [{"label": "human", "value": ""}]
    return letta.agents.create(model=HANDLE, memory_blocks=blocks)


def send(product: Product, agent: AgentState, text: str) -> httpx.Response:
    url = f"{product.url}/v1/agents/{agent.id}/messages"
    return httpx.post(url, json={"input": text}, timeout=60)


def said(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    messages = answer.json()["messages"]
    return [m["content"] for m in messages if m["message_type"] == "assistant_message"]


def assert_goes_on(product: Product, failing: FailingProvider, agent: AgentState) -> None:
    """The next message is accepted, and the prompt of it is whole."""
    failing.fail()
    failing.problems.clear()
    assert said(send(product, agent, "and now?")) == ["You said: and now?"]
    assert failing.problems == []


@pytest.mark.parametrize(
    ("failures", "least_s"),
    [
        ([LIMITED], 1.0),
        ([Failing(429, {"message": "later"}, {"x-ratelimit-reset-requests": "1.2s"})], 1.2),
        ([OVERLOADED], 0.5),
        ([OVERLOADED, BROKEN], 1.0),
        ([Failing(503, {"message": "busy"})], 0.5),
        ([GARBLED, GARBLED], 0.0),
        ([Failing(hangs=True)], 1.0),
        ([Failing(inside=True, error={"message": "x", "code": 503})], 0.5),
    ],
    ids=["429", "429 by limits", "529", "529 and 500", "503", "garbled", "hangs", "inside"],
)
def test_what_passes_is_waited_for(
    product: Product,
    failing: FailingProvider,
    ada: AgentState,
    failures: list[Failing],
    least_s: float,
) -> None:
    failing.fail(*failures)
    began = time.monotonic()
    assert said(send(product, ada, "hello")) == ["You said: hello"]
    assert time.monotonic() - began >= least_s
    assert failing.taken == len(failures) + 1
    assert_goes_on(product, failing, ada)


@pytest.mark.parametrize(
    ("failing_so", "requests", "status", "kind"),
    [
        (Failing(429, {"message": "x"}, {"retry-after": "0"}), 3, 429, "llm_rate_limit"),
        (Failing(429, {"message": "x"}, {"x-should-retry": "false"}), 1, 429, "llm_rate_limit"),
        (BROKEN, 4, 500, "llm_error"),  # the last time once more, with less in the request
        (GARBLED, 3, 400, "llm_bad_request"),
        (NO_KEY, 1, 401, "llm_authentication"),
        (Failing(403, {"message": "x"}), 1, 500, "llm_error"),
        (Failing(402, {"message": "x"}), 1, 402, "llm_insufficient_credits"),
        (
            Failing(429, {"message": "x", "code": "insufficient_quota"}),
            1,
            402,
            "llm_insufficient_credits",
        ),
        (Failing(404, {"message": "x", "code": "model_not_found"}), 1, 500, "llm_error"),
        (
            Failing(400, {"message": "x", "code": "context_length_exceeded"}),
            2,  # once more, when no room could be made
            400,
            "context_window_exceeded",
        ),
    ],
)
def test_a_model_is_asked_as_often_as_is_of_use(
    product: Product,
    failing: FailingProvider,
    ada: AgentState,
    failing_so: Failing,
    requests: int,
    status: int,
    kind: str,
) -> None:
    failing.fail(always=failing_so)
    answer = send(product, ada, "hello")
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert str(failing_so.error["message"]) in answer.json()["error"]["detail"]
    assert failing.taken == requests
    assert_goes_on(product, failing, ada)


def test_a_model_that_hangs_in_the_second_step_costs_nothing_of_the_first(
    product: Product, failing: FailingProvider, letta: Letta, ada: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="Ada"), say("done"))
    failing.fail()
    gate = failing.hold(lambda prompt: prompt[-1]["role"] == "tool")
    assert said(send(product, ada, text)) == ["done"]
    assert gate.reached.is_set()
    assert failing.taken == 3, "the second step's request timed out and was made again"
    (block,) = letta.agents.blocks.list(ada.id).items
    assert block.value.strip() == "Ada"
    assert_goes_on(product, failing, ada)


@pytest.mark.parametrize("inside", [False, True])
def test_a_stream_that_breaks_in_the_middle_begins_anew(
    product: Product, failing: FailingProvider, letta: Letta, ada: AgentState, inside: bool
) -> None:
    broken = Failing(cuts=3, inside=inside, error={"type": "overloaded_error", "message": "x"})
    failing.fail(broken)
    pieces: dict[str, str] = {}
    for event in letta.agents.messages.create(
        ada.id, input="hello", streaming=True, stream_tokens=True
    ):
        if event.message_type == "assistant_message":
            pieces[event.id] = pieces.get(event.id, "") + str(event.content)
    assert list(pieces.values()) == ["half0 half1 half2 ", "You said: hello"]
    stored = letta.agents.messages.list(ada.id).items[-1]
    assert (stored.id, stored.message_type) == (list(pieces)[-1], "assistant_message")
    assert failing.taken == 2
    assert_goes_on(product, failing, ada)
