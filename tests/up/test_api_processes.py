"""Several API processes: behind one address, and beside one another on many machines."""

import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from letta_client.types import AgentState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from tests.chaos.killing import Background
from tests.chaos.rolling.talkers import Crowd
from tests.chaos.soak.audit import of_messages
from tests.support.product import Product, eventually, is_alive
from tests.support.provider import HANDLE, FakeProvider, Gate, Prompt, do, say
from tests.support.streams import body_of, is_done, read, without_pings
from tests.support.two_apis import AnotherApi

_NAMES = ("api-1", "api-2")
_CLIENTS = 8
_AGENTS = 6  # `make rolling` has 20, for minutes
_RETRY = {"x-stainless-retry-count": "1"}


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_API_PROCESSES": "2",
        "O_SWEEP_INTERVAL_S": "3600",
    }
    product = Product(tmp_path_factory.mktemp("processes") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def other_api(product: Product) -> Iterator[AnotherApi]:
    """`o api` that is two processes by itself."""
    api = AnotherApi(product, O_API_PROCESSES="2")
    yield api
    api.stop()


@pytest.fixture(scope="module")
def another(product: Product, other_api: AnotherApi) -> Product:
    """The same product as the API on another machine shows it."""
    elsewhere = Product(product.data_dir, {})
    elsewhere.front_port = other_api.port
    return elsewhere


@pytest.fixture
def agent(product: Product) -> AgentState:
    return product.client().agents.create(model=HANDLE)


@pytest.fixture
def both_live(product: Product) -> None:
    """Both are there, whatever the test before did."""
    eventually(lambda: all(_listens(product, name) for name in _NAMES), within_s=120)


def _listens(product: Product, name: str) -> bool:
    try:
        process = psutil.Process(product.pid_of(name))
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.status == "LISTEN" and one.laddr.port == product.port for one in connections)


class Load:
    """Clients that ask one thing after the other, each on a connection that it keeps.

    Attributes:
        answered: How many answers came, by their status.
        failed: What broke a connection, by its name.
        lost: What was asked again at once, and failed again.
    """

    def __init__(self, product: Product) -> None:
        self._url = f"{product.url}/v1/agents/?limit=1"
        self.answered: Counter[int] = Counter()
        self.failed: Counter[str] = Counter()
        self.lost: list[str] = []
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._ask, daemon=True) for _ in range(_CLIENTS)]

    def __enter__(self) -> "Load":
        for client in self._clients:
            client.start()
        self.goes_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join(60)

    def goes_on(self) -> None:
        """Wait for a good many answers more."""
        wanted = self.answered[200] + 5 * _CLIENTS
        eventually(lambda: self.answered[200] >= wanted, within_s=120, what="answers")

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._over.is_set():
                try:
                    self.answered[client.get(self._url).status_code] += 1
                except httpx.TransportError as error:
                    self.failed[type(error).__name__] += 1
                    self._ask_again(client)
                time.sleep(0.005)

    def _ask_again(self, client: httpx.Client) -> None:
        try:
            self.answered[client.get(self._url).status_code] += 1
        except httpx.TransportError as error:
            self.lost.append(repr(error))


def test_both_serve_on_one_address(product: Product, both_live: None) -> None:
    assert product.pid_of("api-1") != product.pid_of("api-2")
    assert product.state["api"] == f"http://127.0.0.1:{product.port}"


def test_the_death_of_one_costs_its_clients_no_more_than_a_reconnect(
    product: Product, both_live: None
) -> None:
    with Load(product) as load:
        for name in (*_NAMES, *_NAMES):
            product.kill(name)
            load.goes_on()
            eventually(lambda name=name: _listens(product, name), within_s=120)  # type: ignore[misc]
    assert load.answered.keys() == {200}
    assert load.lost == []
    assert "ConnectError" not in load.failed, "nobody is refused"


def test_who_comes_while_none_lives_waits_for_the_next(product: Product, both_live: None) -> None:
    for name in _NAMES:
        os.kill(product.pid_of(name), signal.SIGKILL)
    assert httpx.get(f"{product.url}/v1/health/", timeout=60).status_code == 200


def test_one_that_is_asked_to_stop_cuts_no_request(product: Product, both_live: None) -> None:
    with Load(product) as load:
        for name in _NAMES:
            pid = product.pid_of(name)
            os.kill(pid, signal.SIGTERM)
            eventually(lambda pid=pid: not is_alive(pid), within_s=60)  # type: ignore[misc]
            load.goes_on()
            eventually(lambda name=name: _listens(product, name), within_s=120)  # type: ignore[misc]
    assert load.answered.keys() == {200}
    assert not load.failed


class Held:
    """A message whose model call waits at a gate; its stream is read where it was sent."""

    def __init__(self, product: Product, provider: FakeProvider, agent: AgentState) -> None:
        self.text = do(say(f"one two three of {agent.id}"))
        self.gate: Gate = provider.hold(self._is_mine)
        ask = {"input": self.text, "streaming": True, "background": True, "stream_tokens": True}
        self.stream = read(product, f"agents/{agent.id}/messages", **ask)
        self.run_id = str(body_of(next(self.stream)[1])["run_id"])
        assert self.gate.reached.wait(60)

    def _is_mine(self, prompt: Prompt) -> bool:
        return prompt[-1].get("content") == self.text


def test_a_stream_is_watched_through_another_process(
    product: Product, another: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    watching = Background(lambda: without_pings(read(another, f"runs/{held.run_id}/stream")))
    held.gate.opened.set()
    here = without_pings(held.stream)
    assert watching.result() == here
    assert is_done(here[-1][1])


def test_a_run_is_cancelled_through_another_process(
    product: Product, another: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    another.client().agents.messages.cancel(agent.id, run_ids=[held.run_id])
    last = [body_of(frame) for _, frame in without_pings(held.stream)]
    held.gate.opened.set()
    assert {"cancelled"} == {one["stop_reason"] for one in last if "stop_reason" in one}


@pytest.mark.parametrize("otid", [None, "otid-of-a-repeat"])
def test_a_repeat_at_another_process_joins_the_run(
    product: Product, another: Product, provider: FakeProvider, agent: AgentState, otid: str | None
) -> None:
    text = f"say it again {agent.id}"
    message = {"role": "user", "content": text} | ({"otid": otid + agent.id} if otid else {})
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == text)

    def send(to: Product, headers: dict[str, str]) -> Callable[[], Any]:
        url = f"{to.url}/v1/agents/{agent.id}/messages"
        body = {"messages": [message]}
        return lambda: httpx.post(url, json=body, headers=headers, timeout=60).json()["messages"]

    first = Background(send(product, {}))
    assert gate.reached.wait(60)
    repeats = [Background(send(to, _RETRY)) for to in (another, product, another)]
    gate.opened.set()
    answer = first.result()
    assert [repeat.result() for repeat in repeats] == [answer] * 3
    assert provider.asked(text) == 1
    runs = product.query("SELECT count(*) FROM runs WHERE agent_id = %s", agent.id)
    assert runs == [(1,)]


def test_what_one_process_changes_another_one_shows_at_once(
    product: Product, another: Product, agent: AgentState
) -> None:
    one, other = product.client(), another.client()
    for n in range(20):
        one.agents.update(agent.id, name=f"name {n}")
        assert other.agents.retrieve(agent.id).name == f"name {n}"
        one, other = other, one


async def test_a_step_is_handed_over_when_its_worker_is_asked_to_stop(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    again = provider.hold(lambda prompt: prompt[-1].get("content") == held.text)
    identity = (await _step_under_way(product, agent)).last_worker_identity
    os.kill(product.pid_of(identity.rpartition("-")[0]), signal.SIGTERM)
    assert again.reached.wait(60)
    step = await _step_under_way(product, agent)
    assert step.last_worker_identity != identity
    assert "imeout" not in str(step.last_failure), "nobody had to wait for a sign of life"
    held.gate.opened.set()
    again.opened.set()
    assert is_done(without_pings(held.stream)[-1][1])


async def _step_under_way(product: Product, agent: AgentState) -> PendingActivityInfo:
    """What Temporal says of the step that a worker of the agent's is at."""
    client = await Client.connect(product.state["temporal_address"])
    async for execution in client.list_workflows(f"AgentId = '{agent.id}'"):
        description = await client.get_workflow_handle(execution.id).describe()
        (step,) = description.raw_description.pending_activities
        return step
    raise AssertionError("no conversation")


def test_what_dies_of_an_api_without_a_supervisor_is_started_again(
    other_api: AnotherApi,
) -> None:
    keeper = psutil.Process(other_api.process.pid)
    first = {child.pid for child in keeper.children()}
    assert len(first) == 2
    for pid in first:
        os.kill(pid, signal.SIGKILL)
        assert httpx.get(f"{other_api.url}/v1/health/", timeout=60).status_code == 200
    eventually(lambda: len({child.pid for child in keeper.children()} - first) == 2)


def test_whichever_process_is_asked_for_measures_shows_all(other_api: AnotherApi) -> None:
    def shown() -> set[str]:
        text = httpx.get(f"{other_api.url}/metrics", timeout=60).text
        return set(re.findall(r'^o_process_up\{process="(api-\d)"\}', text, re.MULTILINE))

    eventually(lambda: len(shown()) >= 2, within_s=60, what="two processes")
    assert all(len(shown()) >= 2 for _ in range(10))


def test_nobody_notices_when_all_is_restarted_in_turn(
    product: Product, provider: FakeProvider, both_live: None
) -> None:
    crowd = Crowd(product, _AGENTS)
    crowd.start()
    for name in (*_NAMES, "worker-1", "worker-2"):
        pid = product.pid_of(name)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda name=name, pid=pid: product.pid_of(name) != pid)  # type: ignore[misc]
        crowd.hears_more()
    assert crowd.stop() == []
    assert of_messages(product, crowd.said) == []
    assert provider.problems == []


def test_a_request_that_has_half_come_is_answered_before_the_end(other_api: AnotherApi) -> None:
    address = ("127.0.0.1", other_api.port)
    with socket.create_connection(address) as half, socket.create_connection(address) as idle:
        half.sendall(b"GET /v1/health/ HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        began = time.monotonic()
        other_api.process.send_signal(signal.SIGTERM)
        idle.settimeout(60)
        assert idle.recv(1) == b"", "a connection that asks for nothing is closed"
        half.sendall(b"\r\n")
        half.settimeout(60)
        answer = b"".join(iter(lambda: half.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b"connection: close" in answer
    assert other_api.process.wait(60) is not None
    assert time.monotonic() - began < 30
