"""Whatever a provider answers, its turn ends, the conversation goes on, and nobody else notices."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from tests.llm.answering import Server, choice, chunk, running_server
from tests.llm.test_bounds import calls, zeros_packed
from tests.support.product import Product, eventually
from tests.support.provider import MODEL, FakeProvider

MB = 1024 * 1024


@dataclass
class Scene:
    """One worker, a provider that answers what it is told to, and one that is well."""

    product: Product
    odd: Server
    well: str

    def agent(self) -> str:
        """A new agent of the odd provider."""
        return str(self.product.client().agents.create(model="openai/x").id)

    def send(self, agent_id: str, text: str = "hello") -> httpx.Response:
        url = f"{self.product.url}/v1/agents/{agent_id}/messages"
        return httpx.post(url, json={"input": text}, timeout=60)

    @property
    def worker_bytes(self) -> int:
        return int(psutil.Process(self.product.pid_of("worker-1")).memory_info().rss)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    well = FakeProvider()
    well.start()
    with running_server() as odd:
        env = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": odd.url,
            "GROQ_API_KEY": "gsk-test",
            "GROQ_BASE_URL": well.url,
            "O_WORKERS": "1",
        }
        product = Product(tmp_path_factory.mktemp("foreign") / "o", env)
        product.start()
        agent = product.client().agents.create(model=f"groq/{MODEL}")
        yield Scene(product, odd, agent.id)
        product.stop()
    well.stop()


@pytest.fixture(autouse=True)
def _forget(scene: Scene) -> Iterator[None]:
    yield
    scene.odd.forever, scene.odd.headers, scene.odd.pieces = b"", {}, []


def goes_on(scene: Scene, agent_id: str) -> None:
    """The conversation takes the next message."""
    scene.odd.forever, scene.odd.headers = b"", {}
    scene.odd.says(choice(content="well again"))
    answer = scene.send(agent_id)
    assert answer.status_code == 200, answer.text
    assert answer.json()["messages"][-1]["content"] == "well again"


@pytest.mark.timeout(180)
def test_answers_without_measure_slow_nobody_down_and_their_memory_is_given_back(
    scene: Scene,
) -> None:
    agents = [scene.agent() for _ in range(6)]
    for agent_id in agents:
        goes_on(scene, agent_id)
    before = scene.worker_bytes
    scene.odd.headers = {"content-encoding": "gzip"}
    scene.odd.says(*zeros_packed(300))
    with ThreadPoolExecutor(len(agents)) as pool:
        sent = [pool.submit(scene.send, agent_id) for agent_id in agents]
        for _ in range(5):
            began = time.monotonic()
            assert scene.send(scene.well).status_code == 200
            assert time.monotonic() - began < 5
        for answer in (one.result() for one in sent):
            assert answer.status_code == 500
            assert "larger than 8 MB" in answer.text
    most = before + 60 * MB
    eventually(lambda: scene.worker_bytes < most, what="the return of the memory")
    for agent_id in agents:
        goes_on(scene, agent_id)


@pytest.mark.parametrize("forever", [b'{"choices": [', b"data: x"])
def test_an_answer_without_end_ends_its_turn_with_a_clear_error(
    scene: Scene, forever: bytes
) -> None:
    agent_id = scene.agent()
    scene.odd.forever = forever * 1000
    answer = scene.send(agent_id)
    assert answer.status_code == 500
    assert "larger than 8 MB" in answer.text
    goes_on(scene, agent_id)


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (calls(10_000), "more than 128 tool calls"),
        (calls(1, function={"name": "f" * 2_500_000}), "a tool's name of more than 256"),
        (calls(1, id="i" * 2_500_000), "a tool call's id of more than"),
    ],
)
def test_a_reply_that_temporal_cannot_carry_ends_its_turn_with_a_clear_error(
    scene: Scene, made: list[dict[str, Any]], what: str
) -> None:
    agent_id = scene.agent()
    scene.odd.says(choice(tool_calls=made))
    answer = scene.send(agent_id)
    assert answer.status_code == 500
    assert what in answer.text
    goes_on(scene, agent_id)


@pytest.mark.timeout(180)
def test_a_reply_with_all_that_is_taken_is_carried(scene: Scene) -> None:
    agent_id = scene.agent()
    wide = calls(128)
    for n, made in enumerate(wide):
        made["id"] = f"{n:x}".ljust(16_384, "i")
        made["function"]["name"] = "\N{SNOWMAN}" * 256
    scene.odd.says(choice(tool_calls=wide))
    answer = httpx.post(
        f"{scene.product.url}/v1/agents/{agent_id}/messages",
        json={"input": "hello", "max_steps": 1},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    assert len([m for m in answer.json()["messages"] if "return" in m["message_type"]]) == 128
    goes_on(scene, agent_id)


@pytest.mark.parametrize("streams", [False, True])
def test_half_a_surrogate_pair_does_not_fail_the_turn(scene: Scene, streams: bool) -> None:
    agent_id = scene.agent()
    text = json.loads('"half \\ud83d a pair"')
    if streams:
        scene.odd.says(chunk(content="and ").encode(), chunk_of(text), chunk("stop").encode())
    else:
        scene.odd.says(json.dumps(choice(content=text)))
    messages = scene.product.client(max_retries=0).agents.messages
    found: list[Any]
    if streams:
        found = list(messages.create(agent_id, input="hello", streaming=True, stream_tokens=True))
    else:
        found = list(messages.create(agent_id, input="hello").messages)
    said = [one.content for one in found if one.message_type == "assistant_message"]
    assert "".join(map(str, said)).endswith("half \N{REPLACEMENT CHARACTER} a pair")
    goes_on(scene, agent_id)


def chunk_of(text: str) -> bytes:
    body = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(body)}\n\n".encode()
