"""Temporal keeps what O writes encrypted: switched on over what was plain, read by its tools."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.secrets import Keyring
from tests.support.approvals import (
    GUARDED,
    answer,
    approval,
    ask,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.organizations import new_key
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import FakeProvider
from tests.support.terminal import history_of, list_workflows, run_in_shell, signal

TOKEN = "open sesame"
UI = "http://temporal.example:8080"
ENCRYPTED = base64.b64encode(b"binary/encrypted").decode()


@dataclass
class Switched:
    """A product that encrypts, with an agent that waited for an answer when it did not yet."""

    server: Product
    client: Letta
    agent: AgentState
    call_id: str
    plain: str


def thread_of(server: Product, agent: AgentState) -> str:
    ((thread,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    return str(thread)


@pytest.fixture(scope="module")
def switched(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Switched]:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "O_WORKERS": "1"}
    env |= {"O_API_TOKEN": TOKEN, "O_CORS_ORIGINS": UI, "O_TEMPORAL_DECISIONS": "1"}
    product = Product(tmp_path_factory.mktemp("codec") / "o", env)
    product.start()
    client = Letta(base_url=product.url, api_key=TOKEN, max_retries=0)
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    plain = history_of(product, thread_of(product, agent))
    product.stop()
    product.env["O_TEMPORAL_CODEC"] = "encrypt"
    product.start()
    yield Switched(product, client, agent, request.tool_call.tool_call_id, plain)
    product.stop()


def told(history: str) -> str:
    """What a history says, with what payloads hold put behind it."""
    found = re.findall(r'"data":\s*"([^"]*)"', history)
    return history + "".join(base64.b64decode(one).decode(errors="replace") for one in found)


def payloads(*said: str) -> dict[str, object]:
    encoding = base64.b64encode(b"json/plain").decode()
    return {
        "payloads": [
            {
                "metadata": {"encoding": encoding},
                "data": base64.b64encode(json.dumps(one).encode()).decode(),
            }
            for one in said
        ]
    }


@pytest.fixture
def http(switched: Switched) -> httpx.Client:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=f"{switched.server.url}/v1/codec", headers=headers, timeout=60)


def test_what_was_plain_goes_on_and_what_follows_is_encrypted(switched: Switched) -> None:
    server, agent = switched.server, switched.agent
    assert GUARDED in told(switched.plain)
    assert ENCRYPTED not in switched.plain
    said = answer(switched.client, agent, approval(switched.call_id))
    assert said.messages[-1].content == "done"
    assert memory_of(switched.client, agent).count("likes tea") == 1
    assert ENCRYPTED in history_of(server, thread_of(server, agent))


def test_a_history_holds_no_word_of_what_was_said_and_done(switched: Switched) -> None:
    server = switched.server
    agent = guarded_agent(switched.client)
    request = request_of(ask(switched.client, agent))
    thread = thread_of(server, agent)
    history = history_of(server, thread)
    assert ENCRYPTED in history
    for word in (GUARDED, "likes tea", "done", request.id, request.tool_call.tool_call_id):
        assert word not in told(history)
    # What the list is found by stays plain.
    (listed,) = list_workflows(server, f"AgentId = '{agent.id}' AND ExecutionStatus = 'Running'")
    assert listed["execution"]["workflowId"] == thread
    assert GUARDED not in told(json.dumps(listed))

    # Temporal's own tools still decide, in plain words.
    verdict = {"tool_call_id": request.tool_call.tool_call_id, "approve": True}
    signal(server, thread, "decide", json.dumps(verdict))
    eventually(lambda: memory_of(switched.client, agent) != "nothing", within_s=60)


def test_another_worker_replays_what_is_encrypted(switched: Switched) -> None:
    agent = guarded_agent(switched.client)
    request = request_of(ask(switched.client, agent))
    switched.server.kill("worker-1")
    said = answer(switched.client, agent, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert memory_of(switched.client, agent).count("likes tea") == 1


def test_temporals_command_line_reads_it_by_the_endpoint(switched: Switched) -> None:
    server = switched.server
    agent = guarded_agent(switched.client)
    ask(switched.client, agent)
    show = f"temporal workflow show --workflow-id {thread_of(server, agent)} --output json"
    codec = f"--codec-endpoint {server.url}/v1/codec"
    read = run_in_shell(server, f"{show} {codec} --codec-auth 'Bearer {TOKEN}'")
    assert read.returncode == 0, read.stderr
    assert GUARDED in told(read.stdout)
    refused = run_in_shell(server, f"{show} {codec}")
    assert GUARDED not in told(refused.stdout)


def test_the_endpoint_encrypts_and_decrypts_for_who_has_the_servers_token(
    switched: Switched, http: httpx.Client
) -> None:
    given = payloads("Grüße", "")
    sealed = http.post("/encode", json=given, headers={"X-Namespace": "default"}).json()
    assert [one["metadata"]["encoding"] for one in sealed["payloads"]] == [ENCRYPTED] * 2
    assert http.post("/decode", json=sealed).json() == given
    assert http.post("/decode", json=given).json() == given, "what is plain stays as it is"
    assert http.post("/encode", json=sealed).json() == sealed
    assert http.post("/decode", json={}).json() == {}

    assert httpx.post(f"{http.base_url}decode", json=sealed).status_code == 401
    key = new_key(switched.server, "admin", token=TOKEN)
    headers = {"authorization": f"Bearer {key}"}
    assert http.post("/decode", json=sealed, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"null",
        b'{"payloads": 1}',
        b'{"payloads": [{"data": "x", "data": "y"}]}',
        b'{"pay": []}',
        b'{"payloads": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    ],
)
def test_what_is_no_list_of_payloads_is_refused(http: httpx.Client, body: bytes) -> None:
    assert http.post("/decode", content=body).status_code == 422


@pytest.mark.parametrize("key", ["0123456789abcdef", "", "ü"])
def test_what_cannot_be_read_is_told(http: httpx.Client, key: str) -> None:
    metadata = {"encoding": ENCRYPTED, "encryption-key-id": base64.b64encode(key.encode()).decode()}
    refused = http.post("/decode", json={"payloads": [{"metadata": metadata, "data": "AAAA"}]})
    assert refused.status_code == 422
    assert "cannot be read" in refused.json()["detail"]


def test_a_key_is_not_forgotten_while_an_execution_may_need_it(switched: Switched) -> None:
    server = switched.server
    agent = guarded_agent(switched.client)
    request = request_of(ask(switched.client, agent))
    keyring = Keyring(server.data_dir)
    old, *_ = keyring.names()
    keyring.add_key()
    settled = time.time() - 600  # what began until now may need the old one
    os.utime(keyring.file, (settled, settled))
    refused = forget(server)
    assert refused.returncode == 1
    assert "executions of Temporal are open" in refused.stderr
    assert old in keyring.names()
    # What goes on is read under the old key and written under the new one.
    said = answer(switched.client, agent, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    forgotten = forget(server, "--despite-executions")
    assert f"forgotten: {old}" in forgotten.stdout, forgotten.stderr
    reply = switched.client.agents.messages.create(guarded_agent(switched.client).id, input="hello")
    assert reply.messages[-1].content == "You said: hello"


def forget(server: Product, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "secrets", "forget", *flags],
        cwd=REPOSITORY,
        env=server.env | {"O_DATA_DIR": str(server.data_dir), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_ui_may_ask_from_its_own_origin_and_nobody_elses(http: httpx.Client) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-namespace",
    }
    allowed = http.options("/decode", headers=asked | {"origin": UI})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == UI
    assert http.options("/decode", headers=asked | {"origin": "http://evil"}).status_code == 400
    answered = http.post("/decode", json=payloads("x"), headers={"origin": UI})
    assert answered.headers["access-control-allow-origin"] == UI


def test_a_server_that_encrypts_nothing_answers_temporals_tools_with_what_is_plain(
    server: Product,
) -> None:
    """`temporal workflow show --codec-endpoint` asks one that refuses until its time is over."""
    url = f"{server.url}/v1/codec"
    for way in ("decode", "encode"):
        answer = httpx.post(f"{url}/{way}", json=payloads("x"))
        assert (answer.status_code, answer.json()) == (200, payloads("x"))
    encoding = base64.b64encode(b"binary/encrypted").decode()
    sealed = {"metadata": {"encoding": encoding}, "data": encoding}
    refused = httpx.post(f"{url}/decode", json={"payloads": [sealed]})
    assert refused.status_code == 422
    assert "O_TEMPORAL_CODEC" in refused.json()["detail"]
