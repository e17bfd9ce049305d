"""Bad input gets a clear error in V1's shape and loses nothing."""

import gzip
from typing import Any

import httpx
import pytest
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.mark.parametrize(
    ("model", "status"),
    [("openai/unheard-of", 404), ("nobody/gpt", 404), ("no-slash", 400), (None, 400)],
)
def test_an_unknown_model_handle_is_404_and_a_malformed_one_400(
    http: httpx.Client, model: str | None, status: int
) -> None:
    answer = http.post("/v1/agents/", json={"model": model})
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("path", ["", "/messages", "/core-memory/blocks", "/core-memory/blocks/x"])
def test_a_malformed_id_is_422_with_an_example_and_an_unknown_one_404(
    http: httpx.Client, path: str
) -> None:
    malformed = http.get(f"/v1/agents/agent-1{path}")
    assert malformed.status_code == 422
    assert isinstance(malformed.json()["detail"], str)
    assert malformed.json()["trace_id"] == ""
    assert malformed.json()["examples"][0].startswith("agent-")
    assert http.get(f"/v1/agents/{new_id('agent')}{path}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "a", "messages": [{"role": "user", "content": "b"}]},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"input": "a", "max_steps": 0},
        {"input": "a", "stream_tokens": True},
        {"input": "a", "background": True},
        {"input": "a", "include_pings": False},
        {"input": [{"type": "tool_call"}]},
    ],
)
def test_a_send_that_breaks_the_schema_is_422_and_leaves_no_run(
    http: httpx.Client, server: Product, agent: AgentState, body: dict[str, Any]
) -> None:
    answer = http.post(f"/v1/agents/{agent.id}/messages", json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert server.query("SELECT count(*) FROM runs WHERE agent_id = %s", agent.id) == [(0,)]


def test_broken_json_is_422(http: httpx.Client, agent: AgentState) -> None:
    answer = http.post(f"/v1/agents/{agent.id}/messages", content=b'{"input": ')
    assert answer.status_code == 422


def test_streaming_needs_a_current_client(http: httpx.Client, agent: AgentState) -> None:
    body = {"input": "a", "streaming": True}
    old = http.post(f"/v1/agents/{agent.id}/messages", json=body)
    assert old.status_code == 422
    assert "/messages/stream instead" in old.json()["detail"]
    current = http.post(
        f"/v1/agents/{agent.id}/messages",
        json=body,
        headers={"X-Stainless-Package-Version": "1.12.1"},
    )
    assert current.status_code == 200


def test_unknown_body_fields_are_ignored(http: httpx.Client) -> None:
    answer = http.post("/v1/agents/", json={"model": HANDLE, "flux_capacitor": {"charge": 1.21}})
    assert answer.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(http: httpx.Client, agent: AgentState, chunked: bool) -> None:
    big = b'{"input": "' + b"a" * (20 * 1024 * 1024) + b'"}'
    content = iter([big[: len(big) // 2], big[len(big) // 2 :]]) if chunked else big
    answer = http.post(f"/v1/agents/{agent.id}/messages", content=content)
    assert answer.status_code == 413
    assert "larger than" in answer.json()["detail"]
    assert "(O_MAX_BODY_BYTES)" in answer.json()["detail"]


def test_who_sends_json_for_a_file_is_told_to_send_a_form(http: httpx.Client) -> None:
    folder = http.post("/v1/folders/", json={"name": new_id("source")}).json()
    for path in ("/v1/agents/import", f"/v1/folders/{folder['id']}/upload"):
        refused = http.post(path, json={"agents": []})
        assert refused.status_code == 422
        assert "multipart/form-data" in refused.json()["detail"]
        assert "curl -F file=@PATH" in refused.json()["detail"]


def test_a_packed_body_is_415_and_says_so(http: httpx.Client, agent: AgentState) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = gzip.compress(b'{"input": "hello"}')
    refused = http.post(f"/v1/agents/{agent.id}/messages", content=packed, headers=headers)
    assert refused.status_code == 415
    assert refused.headers["accept-encoding"] == "identity"
    assert "without 'Content-Encoding: gzip'" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["identity"], 200),
        ([""], 200),
        (["identity", "Identity ,, identity"], 200),
        (["gzip", "identity"], 415),
        (["identity, gzip"], 415),
        (["", "GZIP"], 415),
    ],
)
def test_each_line_says_whether_a_body_is_packed(
    http: httpx.Client, agent: AgentState, lines: list[str], status: int
) -> None:
    headers = [("content-type", "application/json")]
    headers += [("content-encoding", line) for line in lines]
    said = http.patch(f"/v1/agents/{agent.id}", content=b'{"name": "ada"}', headers=headers)
    assert said.status_code == status


def test_a_requirement_that_is_a_plain_text_is_a_name(http: httpx.Client) -> None:
    body = {"source_code": 'def plain():\n    """Say."""\n', "pip_requirements": ["six"]}
    made = http.post("/v1/tools/", json=body)
    assert made.status_code == 200, made.text
    assert made.json()["pip_requirements"] == [{"name": "six", "version": None}]
    http.delete(f"/v1/tools/{made.json()['id']}")


def test_text_that_postgres_cannot_hold_is_replaced_at_the_edge(
    http: httpx.Client, agent: AgentState
) -> None:
    content = b'{"input": "nul \\u0000 and half a pair \\ud83d, a whole one \\ud83d\\ude00"}'
    answer = http.post(
        f"/v1/agents/{agent.id}/messages",
        content=content,
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    assert (
        answer.json()["messages"][0]["content"]
        == "You said: nul \ufffd and half a pair \ufffd, a whole one \U0001f600"
    )


@pytest.mark.parametrize("metadata", ['{"a": NaN}', '{"a": ' + "[" * 800 + "]" * 800 + "}"])
def test_json_that_cannot_be_stored_is_mended_or_refused(http: httpx.Client, metadata: str) -> None:
    content = f'{{"model": "{HANDLE}", "metadata": {metadata}}}'
    answer = http.post("/v1/agents/", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422)


def test_a_malformed_actor_is_400_and_an_unknown_one_is_the_default(http: httpx.Client) -> None:
    assert http.get("/v1/agents/", headers={"user_id": "me"}).status_code == 400
    unknown = {"user_id": new_id("user")}
    assert http.get("/v1/agents/", headers=unknown).status_code == 200


def test_unknown_cursors_are_404(http: httpx.Client, agent: AgentState) -> None:
    for path in (
        f"/v1/agents/?after={new_id('agent')}",
        f"/v1/agents/{agent.id}/messages?before={new_id('message')}",
        f"/v1/agents/{agent.id}/core-memory/blocks?after={new_id('block')}",
    ):
        assert http.get(path).status_code == 404


def test_an_agent_type_that_is_not_served_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/agents/", json={"model": HANDLE, "agent_type": "voice_convo_agent"})
    assert answer.status_code == 400
    assert "letta_v1_agent" in answer.json()["detail"]
