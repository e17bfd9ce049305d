"""Those who wait for runs: what they cost others, and what may happen while they wait."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from letta_client.types import AgentState

from o.storage.database import libpq_url
from tests.chaos.killing import Background
from tests.support.crowd import Crowd
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, Gate, Prompt
from tests.support.statements import FOLLOWING, REQUESTS, StatementLog, log_statements
from tests.support.streams import Frame, body_of, is_done, read, without_pings

_FOLLOWERS = 1_000
_RUNS = 10


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose sweeper rests, whose API soon gives a database up, and all logged."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_SWEEP_INTERVAL_S": "3600",
        "O_WORKERS": "1",
        "O_DATABASE_PATIENCE_S": "1",
    }
    product = Product(tmp_path_factory.mktemp("followers") / "o", env)
    product.start()
    log_statements(product)
    yield product
    product.stop()


@pytest.fixture
def agent(product: Product) -> AgentState:
    return new_agent(product)


def new_agent(product: Product) -> AgentState:
    return product.client().agents.create(model=HANDLE)


class Held:
    """A run whose model call waits at a gate."""

    def __init__(self, product: Product, provider: FakeProvider, agent: AgentState) -> None:
        self.text = f"hold {agent.id}"
        self.gate: Gate = provider.hold(self._is_mine)
        body = {"input": self.text, "streaming": True, "background": True}
        self.stream: Iterator[Frame] = read(product, f"agents/{agent.id}/messages", **body)
        self.run_id = str(body_of(next(self.stream)[1])["run_id"])
        assert self.gate.reached.wait(30)

    def _is_mine(self, prompt: Prompt) -> bool:
        return prompt[-1].get("content") == self.text


def looks(log: StatementLog) -> int:
    """How often the API has asked which runs have moved on."""
    return len(log.sent_by(FOLLOWING))


def idle_s(product: Product, name: str) -> float:
    """For how long the connection of that name has sent nothing."""
    ((seconds,),) = product.query(
        "SELECT coalesce(min(extract(epoch FROM now() - query_start)), 0)::float8 "
        "FROM pg_stat_activity WHERE application_name = %s",
        name,
    )
    return float(seconds)


def test_a_thousand_idle_streams_cost_one_statement_a_second_and_others_nothing(
    product: Product, provider: FakeProvider
) -> None:
    client = product.client()
    agents = [new_agent(product) for _ in range(_RUNS)]
    held = [Held(product, provider, agent) for agent in agents]
    with Crowd(product) as crowd:
        crowd.join([held[n % _RUNS].run_id for n in range(_FOLLOWERS)])
        log = StatementLog(product)
        eventually(lambda: looks(log) >= 1, what="a look for all")
        client.agents.retrieve(agents[0].id)
        eventually(lambda: looks(log) >= 4, what="three looks more")
        statements = log.sent_by(FOLLOWING)
        assert len(statements) <= 6, f"{len(statements)} statements in about three seconds"
        assert all("unnest" in text for _, text in statements)
        others = [text for _, text in log.sent_by(REQUESTS)]
        assert sum("agents.id" in text for text in others) == 1, "the request's own"
        assert len(others) < 10, "beside it, whether the server is ready may have been asked"
        ends = crowd.ends()
        for one in held:
            one.gate.opened.set()
            assert is_done(without_pings(one.stream)[-1][1])
        assert set(ends.result(30)) == {b"data: [DONE]\n\n"}


def test_nobody_asks_for_a_client_that_has_hung_up(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "hang up")
    body = json.dumps({"input": "hang up"}).encode()
    head = (
        f"POST /v1/agents/{agent.id}/messages HTTP/1.1\r\nhost: 127.0.0.1:{product.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    log = StatementLog(product)
    with socket.create_connection(("127.0.0.1", product.port)) as connection:
        connection.sendall(head.encode() + body)
        assert gate.reached.wait(30)
        eventually(lambda: looks(log) >= 2, what="looks for one who waits")
    eventually(lambda: idle_s(product, FOLLOWING) > 3, what="three seconds without a look")
    gate.opened.set()
    client = product.client()
    eventually(lambda: client.runs.list(agent_id=agent.id).items[0].status == "completed")
    answers = [one.content for one in client.agents.messages.list(agent.id) if _is_answer(one)]
    assert answers == ["You said: hang up"], "the turn went on without its client"


def _is_answer(message: Any) -> bool:
    return bool(message.message_type == "assistant_message")


def test_a_stream_that_was_hung_up_on_is_let_go_of(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    log = StatementLog(product)
    eventually(lambda: looks(log) >= 2, what="looks for one who reads")
    held.stream.close()  # type: ignore[attr-defined]
    eventually(lambda: idle_s(product, FOLLOWING) > 3, what="three seconds without a look")
    held.gate.opened.set()


def test_events_of_a_kind_that_is_not_known_stop_nobody(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    """As while a newer release is rolled out, whose workers write what this API has never seen."""

    def listener() -> list[tuple[Any, ...]]:
        return product.query(
            "SELECT pid, backend_start FROM pg_stat_activity "
            "WHERE application_name = 'o api listen'"
        )

    held = Held(product, provider, agent)
    before = listener()
    product.query(
        "WITH run AS (UPDATE runs SET next_seq = next_seq + 2 WHERE id = %s "
        "RETURNING id, next_seq - 2 AS seq) "
        "INSERT INTO run_events (run_id, seq, attempt, kind, body) "
        "SELECT id, seq + n, 1, 'of-a-newer-release', '{\"x\": 1}' "
        "FROM run, generate_series(0, 1) AS n",
        held.run_id,
    )
    held.gate.opened.set()
    kinds = [body_of(frame).get("message_type") for _, frame in without_pings(held.stream)]
    assert kinds == ["assistant_message", "stop_reason", "usage_statistics", None]
    reply = product.client().agents.messages.create(agent.id, input="and now?")
    assert [message.message_type for message in reply.messages] == ["assistant_message"]
    assert listener() == before, "the same connection listens on"


def test_a_stream_whose_database_stays_away_says_how_to_resume(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    url = libpq_url(product.state["database_url"])
    ((name,),) = product.query("SELECT current_database()")
    with psycopg.connect(url, dbname="template1", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name IN ('o api follow', 'o api listen')"
        )
        *_, (_, last) = held.stream
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    assert last.startswith("event: error\n")
    error = body_of(last)
    assert (error["error_type"], error["detail"], error["run_id"]) == (
        "stream_incomplete",
        "resume",
        held.run_id,
    )
    held.gate.opened.set()
    rest = read_on(product, error)
    assert body_of(rest[0][1])["content"] == f"You said: {held.text}"
    assert is_done(rest[-1][1])


def test_a_statement_that_hangs_is_503_for_who_waits_for_json_and_says_how_to_resume_a_stream(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    waiting = new_agent(product)
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "wait for it")
    url = f"{product.url}/v1/agents/{waiting.id}/messages"
    sending = Background(lambda: httpx.post(url, json={"input": "wait for it"}, timeout=60))
    assert gate.reached.wait(30)
    with psycopg.connect(libpq_url(product.state["database_url"])) as connection:
        connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        answer = sending.result()
        *_, (_, last) = held.stream
    held.gate.opened.set()
    gate.opened.set()
    assert (answer.status_code, "database is away" in answer.text) == (503, True), answer.text
    assert body_of(last)["detail"] == "resume"


def test_who_asks_often_whether_the_server_is_ready_has_it_look_once(product: Product) -> None:
    log = StatementLog(product)
    for _ in range(20):
        assert httpx.get(f"{product.url}/v1/ready/").status_code == 200
    looked = [text for _, text in log.sent_by(REQUESTS) if "split_part" in text]
    assert len(looked) <= 2


def read_on(product: Product, error: dict[str, Any]) -> list[Frame]:
    """The rest of a stream, as the error that ended it says how."""
    named = re.search(r"/v1/(\S+) with run_id (\S+) and starting_after (\d+)", error["message"])
    assert named is not None, error
    return without_pings(read(product, named[1], run_id=named[2], starting_after=int(named[3])))


def test_a_server_that_is_stopped_leaves_nobody_without_a_word(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    waiting = new_agent(product)
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "wait")
    url = f"{product.url}/v1/agents/{waiting.id}/messages"
    sending = Background(lambda: httpx.post(url, json={"input": "wait"}, timeout=30))
    assert gate.reached.wait(30)
    os.kill(product.pid_of("api"), signal.SIGTERM)
    *_, (_, last) = held.stream
    assert last.startswith("event: error\n")
    left = sending.result()
    assert left.status_code == 503
    (run,) = product.query("SELECT id FROM runs WHERE agent_id = %s", waiting.id)
    assert f"GET /v1/runs/{run[0]}/messages" in left.json()["detail"], "where to read on"
    assert 5 <= float(left.headers["retry-after"]) <= 60, "official clients obey up to a minute"
    held.gate.opened.set()
    gate.opened.set()
    eventually(lambda: _serves(product), what="the API's return")
    rest = read_on(product, body_of(last))
    assert body_of(rest[0][1])["content"] == f"You said: {held.text}"
    retried = httpx.post(
        url, json={"input": "wait"}, headers={"x-stainless-retry-count": "1"}, timeout=30
    )
    assert retried.json()["messages"][0]["content"] == "You said: wait"
    assert len(product.client().runs.list(agent_id=waiting.id).items) == 1, "it joined its run"
    listed = httpx.get(f"{product.url}/v1/runs/{run[0]}/messages").json()
    assert "You said: wait" in [message.get("content") for message in listed]


def _serves(product: Product) -> bool:
    try:
        return httpx.get(f"{product.url}/v1/health/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_stream_whose_run_is_deleted_says_so(
    product: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = Held(product, provider, agent)
    product.query("DELETE FROM runs WHERE id = %s", held.run_id)
    *_, (_, last) = held.stream
    held.gate.opened.set()
    assert last.startswith("event: error\n")
    assert body_of(last)["message"] == f"Run with id {held.run_id} was deleted"
