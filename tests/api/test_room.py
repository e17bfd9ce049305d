"""A call for which there is no room waits outside of the worker's slots, and is not given up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from letta_client import Letta

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider


@pytest.fixture
def narrow(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that makes one call at a time, and gives up what fails once."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_WORKERS": "1",
        "O_MODEL_CALLS": "1",
        "O_MODEL_ATTEMPTS": "1",
        "O_CRASH_ATTEMPTS": "1",
    }
    product = Product(tmp_path_factory.mktemp("narrow") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("streams", [False, True])
def test_a_turn_that_finds_no_room_gets_its_answer_when_there_is_some(
    narrow: Product, provider: FakeProvider, streams: bool
) -> None:
    client = narrow.client(max_retries=0)
    first, second = (client.agents.create(model=HANDLE).id for _ in range(2))
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == f"first {streams}"))
        stack.callback(held.opened.set)
        one = pool.submit(_say, client, first, f"first {streams}", streams=streams)
        assert held.reached.wait(20)
        other = pool.submit(_say, client, second, f"second {streams}", streams=streams)
        eventually(lambda: _attempts(narrow, second) == [(0,)], what="a look that found no room")
        assert provider.asked(f"second {streams}") == 0
        held.opened.set()
        assert one.result(30)
        assert other.result(60)
    assert _attempts(narrow, second) == [(1,)], "looks that found no room do not count"


def _attempts(product: Product, agent_id: str) -> list[tuple[int]]:
    return product.query("SELECT attempts FROM steps WHERE agent_id = %s", agent_id)


def _say(client: Letta, agent_id: str, text: str, *, streams: bool) -> list[str]:
    if streams:
        stream = client.agents.messages.create(
            agent_id, input=text, streaming=True, stream_tokens=True
        )
        said = [str(one.content) for one in stream if one.message_type == "assistant_message"]
    else:
        reply = client.agents.messages.create(agent_id, input=text)
        said = [str(m.content) for m in reply.messages if m.message_type == "assistant_message"]
    return said
