"""Whatever comes in, as body or as parameter, is taken or refused; it never breaks the server."""

import hashlib
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letta_client import Letta

from o.ids import new_id
from tests.support.document import DOCUMENT
from tests.support.product import Product
from tests.support.provider import HANDLE

# Each example is a request of its own; how long it takes says nothing.
few = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

odd_text = st.sampled_from(["", "\0", "\ud800", "default", "a" * 3_000]) | st.text(st.characters())
odd_number = st.sampled_from([-1, 0, 10**30, -(10**30), 2**31, 2**63, 1e308, float("nan")])
any_json = st.recursive(
    st.none() | st.booleans() | odd_number | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=8,
)
verdicts = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["approval", "tool"])},
        optional={
            "tool_call_id": odd_text,
            "approve": st.booleans(),
            "reason": any_json,
            "tool_return": odd_text | st.lists(any_json, max_size=2),
            "status": st.sampled_from(["success", "error", "x"]),
            "stdout": st.lists(odd_text, max_size=2),
        },
    )
    | any_json,
    max_size=3,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["approval", "tool_return", "message"])},
        optional={
            "approvals": verdicts,
            "tool_returns": verdicts,
            "approve": st.booleans(),
            "approval_request_id": odd_text,
            "reason": any_json,
            "otid": odd_text,
            "role": st.sampled_from(["user", "approval"]),
            "content": odd_text,
        },
    ),
    min_size=1,
    max_size=3,
)
tools = st.lists(
    st.fixed_dictionaries({"name": odd_text}, optional={"parameters": any_json}) | any_json,
    max_size=2,
)
sends = st.fixed_dictionaries(
    {"messages": messages},
    optional={
        "client_tools": tools,
        "busy_policy": st.sampled_from(["queue", "reject", "interrupt"]) | any_json,
        "max_steps": any_json,
        "callback_url": any_json | st.just("http://[::1"),
        "include_return_message_types": st.lists(odd_text, max_size=2) | any_json,
        "override_model": any_json,
        "streaming": any_json,
        "background": any_json,
        "agent_id": any_json,
    },
)
streams = st.fixed_dictionaries(
    {},
    optional={
        "starting_after": any_json,
        "run_id": any_json,
        "otid": any_json,
        "agent_id": any_json,
        "poll_interval": any_json,
        "batch_size": any_json,
        "include_pings": any_json,
    },
)
conversations = st.fixed_dictionaries(
    {},
    optional={
        "summary": any_json,
        "isolated_block_labels": st.lists(odd_text, max_size=2) | any_json,
        "model": any_json,
        "model_settings": any_json | st.dictionaries(odd_text, any_json, max_size=2),
        "last_message_at": any_json,
    },
)
cancels = st.fixed_dictionaries({}, optional={"run_ids": st.lists(odd_text, max_size=3) | any_json})

BODIES: dict[str, tuple[str, str, st.SearchStrategy[Any]]] = {
    "send": ("POST", "/v1/agents/{agent_id}/messages", sends),
    "stream": ("POST", "/v1/agents/{agent_id}/messages/stream", sends),
    "async": ("POST", "/v1/agents/{agent_id}/messages/async", sends),
    "preview": ("POST", "/v1/agents/{agent_id}/messages/preview-raw-payload", sends),
    "conversation send": ("POST", "/v1/conversations/{conversation_id}/messages", sends),
    "default send": ("POST", "/v1/conversations/default/messages", sends),
    "cancel": ("POST", "/v1/agents/{agent_id}/messages/cancel", cancels),
    "create": ("POST", "/v1/conversations/?agent_id={agent_id}", conversations),
    "update": ("PATCH", "/v1/conversations/{conversation_id}", conversations),
    "run stream": ("POST", "/v1/runs/{run_id}/stream", streams),
    "conversation stream": ("POST", "/v1/conversations/{conversation_id}/stream", streams),
    "agent": (
        "PATCH",
        "/v1/agents/{agent_id}",
        st.fixed_dictionaries({}, optional={"approval_timeout_s": any_json}),
    ),
}


@pytest.fixture(scope="module")
def ids(server: Product, client: Letta) -> dict[str, str]:
    """Ids of things that are there, by the name of the path's parameter."""
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "notes", "value": "x"}])
    client.agents.messages.create(agent.id, input="hello")
    conversation = client.conversations.create(agent_id=agent.id)
    found = {"agent_id": agent.id, "conversation_id": conversation.id}
    for table in ("runs", "steps", "messages"):
        ((id_, *_), *_) = server.query(f"SELECT id FROM {table} WHERE agent_id = %s", agent.id)
        found[f"{table[:-1]}_id"] = id_
    ((found["block_id"],),) = server.query(
        "SELECT block_id FROM agent_blocks WHERE agent_id = %s", agent.id
    )
    found["tool_id"] = client.agents.tools.list(agent.id).items[0].id
    return found


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.mark.parametrize("name", BODIES)
def test_any_body_is_taken_or_refused(http: httpx.Client, ids: dict[str, str], name: str) -> None:
    method, path, bodies = BODIES[name]

    @few
    @given(bodies | any_json)
    def ask(body: object) -> None:
        answer = http.request(
            method,
            path.format_map(ids),
            content=json.dumps(body),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code < 500, (answer.status_code, answer.text)

    ask()


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"messages": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"input": "a", "max_steps": ' + b"9" * 5_000 + b"}",
        b'{"input": "\xff\xfe"}',
        b'{"input": "a", "client_tools": [{"name": "a", "parameters": '
        + b'{"a":' * 900
        + b"1"
        + b"}" * 900
        + b"}]}",
    ],
    ids=["unclosed", "deep", "long number", "not utf-8", "deep parameters"],
)
def test_a_body_that_no_json_should_be_is_refused(
    http: httpx.Client, ids: dict[str, str], name: str, content: bytes
) -> None:
    method, path, _ = BODIES[name]
    headers = {"content-type": "application/json"}
    answer = http.request(method, path.format_map(ids), content=content, headers=headers)
    assert answer.status_code < 500, answer.text


def _odd(parameter: dict[str, Any]) -> str | None:
    """Something that the parameter's type lets in and nobody expects; None for other types."""
    kinds = re.findall(r"'type': '(\w+)'", repr(parameter["schema"]))
    if "string" in kinds:
        return "%00"
    return str(10**30) if "integer" in kinds else None


def _parameters() -> list[tuple[str, str, str, str]]:
    """Every parameter in a query, and every one in a path that is no id, with something odd."""
    return [
        (method, path, one["name"], odd)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        for one in operation.get("parameters", ())
        if one["in"] == "query" or (one["in"] == "path" and not one["name"].endswith("_id"))
        if (odd := _odd(one)) is not None
    ]


@pytest.mark.parametrize(("method", "path", "name", "odd"), _parameters())
def test_an_odd_parameter_is_taken_or_refused(
    http: httpx.Client, ids: dict[str, str], method: str, path: str, name: str, odd: str
) -> None:
    if method == "delete":
        ids = ids | {known: new_id(known.removesuffix("_id")) for known in ids}
    fill = {found: ids.get(found, "notes") for found in re.findall(r"\{(\w+)\}", path)}
    in_path = name in fill
    address = path.format_map(fill | ({name: odd} if in_path else {}))
    answer = http.request(method, address + ("" if in_path else f"?{name}={odd}"), json={})
    assert answer.status_code < 500, answer.text
    if odd == "%00" and answer.status_code >= 400:
        assert answer.json()["detail"]


def test_the_walk_finds_the_parameters() -> None:
    found = {(path, name) for _, path, name, _ in _parameters()}
    assert {("/v1/runs/", "agent_id"), ("/v1/agents/", "limit")} <= found
    assert ("/v1/agents/{agent_id}/core-memory/blocks/{block_label}", "block_label") in found


def test_many_long_otids_make_one_run_all_the_same(http: httpx.Client, ids: dict[str, str]) -> None:
    said = [
        {"role": "user", "content": "x", "otid": hashlib.sha512(str(n).encode()).hexdigest()}
        for n in range(100)
    ]
    address = BODIES["async"][1].format_map(ids)
    first, second = (http.post(address, json={"messages": said}) for _ in range(2))
    assert first.status_code == 200, first.text
    assert first.json()["id"] == second.json()["id"]
