"""A client that loses its connection again and again misses nothing and hears nothing twice."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from letta_client.types import AgentState

from tests.chaos.killing import Background, KillableProduct, new_agent
from tests.chaos.matrix import SEED
from tests.support.product import eventually
from tests.support.provider import FakeProvider, Gate, Prompt, call, do, last_user_text, say
from tests.support.streams import Frame, body_of, is_done, is_ping, read, without_pings

pytestmark = pytest.mark.chaos

CUTS = 50
STEPS = 40
WORDS = " ".join(f"word{n}" for n in range(100))
# Each step shows four chunks at least, whatever pieces are gathered into one: a thought, the name
# of a tool, its arguments, what it returned. So there is something to cut fifty times.
TEXT = do(
    *(
        call("memory_insert", label="notes", new_string=f"line {n}") | {"reasoning": f"step {n}"}
        for n in range(STEPS)
    ),
    say(WORDS) | {"pause_s": 0.01},
)


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


class ForgetfulClient:
    """Reads the stream of a run in pieces, and knows no more than the number of its last chunk."""

    def __init__(self, product: KillableProduct, agent: AgentState) -> None:
        self._product = product
        self.chunks: list[Frame] = []
        self._last = 0
        ask = {"streaming": True, "stream_tokens": True, "background": True}
        _, ping = next(read(product, f"agents/{agent.id}/messages", input=TEXT, **ask))
        self.run_id = str(body_of(ping)["run_id"])

    @property
    def is_done(self) -> bool:
        """Whether it has heard the end."""
        return bool(self.chunks) and is_done(self.chunks[-1][1])

    def read(self, most: int | None = None) -> None:
        """Read on, and hang up after `most` chunks. A server that is away is waited for."""
        wanted = None if most is None else len(self.chunks) + most
        path = f"runs/{self.run_id}/stream"
        while not self.is_done:
            try:
                for chunk in read(self._product, path, starting_after=self._last):
                    if not is_ping(chunk[1]):
                        self.chunks.append(chunk)
                        self._last = chunk[0] or self._last + 1  # the tail shows no numbers
                    if len(self.chunks) == wanted:
                        return
            except httpx.TransportError:
                eventually(lambda: _serves(self._product), what="the API's return")


def _serves(product: KillableProduct) -> bool:
    try:
        return httpx.get(f"{product.url}/v1/health/").status_code == 200
    except httpx.TransportError:
        return False


def _is_step(step: int) -> Callable[[Prompt], bool]:
    def fits(prompt: Prompt) -> bool:
        returned = sum(message["role"] == "tool" for message in prompt)
        return last_user_text(prompt) == TEXT and returned == step

    return fits


def _trouble(product: KillableProduct, gate: Gate) -> None:
    """Kill the API in the middle of the run, and then a worker that is at a token stream."""
    assert gate.reached.wait(60)
    product.kill("api")
    with product.stopped_at("tokens-coming") as reached:
        gate.opened.set()
        product.kill_one("worker", reached())


def test_a_stream_cut_fifty_times_is_the_stream_of_one_who_was_never_cut(
    product: KillableProduct, provider: FakeProvider
) -> None:
    agent = new_agent(product)
    chance = random.Random(SEED)
    gate = provider.hold(_is_step(STEPS // 4))
    client = ForgetfulClient(product, agent)
    trouble = Background(lambda: _trouble(product, gate))
    for _ in range(CUTS):
        client.read(most=chance.randint(0, 3))
        assert not client.is_done, f"nothing is left to cut; O_KILL_SEED={SEED}"
    client.read()
    trouble.result()
    whole = without_pings(read(product, f"runs/{client.run_id}/stream"))
    assert without_void(client.chunks) == without_void(whole), f"O_KILL_SEED={SEED}"
    numbers = [number for number, _ in client.chunks[:-3] if number]
    assert numbers == sorted(set(numbers))
    product.kill("api")
    eventually(lambda: _serves(product), what="the API's return")
    assert without_pings(read(product, f"runs/{client.run_id}/stream")) == whole
    assert_two_attempts_are_told_apart(product, agent, client.chunks)


def void_ids(chunks: list[Frame]) -> set[str]:
    """The messages that a stream says are void."""
    return {
        body_of(frame)["event_data"]["message_id"]
        for _, frame in chunks
        if body_of(frame).get("message_type") == "event_message"
    }


def without_void(chunks: list[Frame]) -> list[Frame]:
    """What is left for one who comes when a step has been begun anew already."""
    void = void_ids(chunks)
    return [(number, frame) for number, frame in chunks if body_of(frame).get("id") not in void]


def assert_two_attempts_are_told_apart(
    product: KillableProduct, agent: AgentState, chunks: list[Frame]
) -> None:
    """What one id says in the stream is what history holds under it, or is said to be void."""
    ((repeats,),) = product.query("SELECT sum(attempts - 1) FROM steps")
    assert repeats >= 1, "the step of the worker that died was begun anew"
    said: defaultdict[tuple[str, str], str] = defaultdict(str)
    for _, frame in chunks[:-3]:
        body = body_of(frame)
        if body["message_type"] in ("event_message", "tool_return_message"):
            continue
        text = body.get("reasoning") or body.get("content") or ""
        if body["message_type"] == "tool_call_message":
            text = body["tool_call"].get("arguments", "")
        said[body["id"], body["message_type"]] += text
    stored = product.client().agents.messages.list(agent.id, limit=500).items
    kept = {
        (str(one.id), str(one.message_type)): getattr(one, "content", None)
        or getattr(one, "reasoning", None)
        or getattr(getattr(one, "tool_call", None), "arguments", "")
        for one in stored
        if one.message_type not in ("system_message", "user_message", "tool_return_message")
    }
    assert {key: said[key] for key in kept} == kept
    void = void_ids(chunks)
    assert {message_id for message_id, _ in said.keys() - kept.keys()} <= void
    assert len(void) <= repeats
    assert stored[-1].content == WORDS
