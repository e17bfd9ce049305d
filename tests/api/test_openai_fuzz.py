"""Requests for chat completions that nobody should send: refused or answered, never a fault."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letta_client import Letta

from tests.support.product import Product
from tests.support.provider import HANDLE

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["\x00", "\ud83d", "a" * 70_000, "user", "tool", "auto"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
ITEMS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}),
    st.fixed_dictionaries({"type": st.just("image_url"), "image_url": JSON}),
    JSON,
)
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(
                ["user", "assistant", "system", "tool", "developer", "function", "x", None, 1]
            ),
            "content": st.one_of(st.text(max_size=9), st.lists(ITEMS, max_size=3), JSON),
        },
        optional={"name": JSON, "tool_call_id": JSON, "tool_calls": JSON},
    ),
    JSON,
)
TOOLS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["function", "custom", 1]),
            "function": st.fixed_dictionaries(
                {"name": st.text(max_size=5)}, optional={"parameters": JSON, "description": JSON}
            ),
        }
    ),
    JSON,
)
BODIES = st.fixed_dictionaries(
    {"model": st.one_of(st.just("AGENT"), JSON), "messages": st.lists(MESSAGES, max_size=4)},
    optional={
        "stream": st.one_of(st.booleans(), JSON),
        "stream_options": JSON,
        "n": SCALARS,
        "tools": st.lists(TOOLS, max_size=2),
        "tool_choice": JSON,
        "functions": JSON,
        "response_format": JSON,
        "max_tokens": JSON,
        "user": JSON,
    },
)

_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def target(server: Product, client: Letta) -> tuple[httpx.Client, str]:
    http = httpx.Client(base_url=f"{server.url}/v1", timeout=60)
    return http, client.agents.create(model=HANDLE).id


@given(body=BODIES)
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_a_hostile_request_is_never_a_fault(
    target: tuple[httpx.Client, str], body: dict[str, Any]
) -> None:
    http, agent_id = target
    if body["model"] == "AGENT":
        body = body | {"model": agent_id}
    answer = http.post("/chat/completions", content=json.dumps(body), headers=_JSON)
    if answer.status_code == 409:  # a call of its own tools waits, which it does not know of
        http.post(f"/agents/{agent_id}/messages/cancel", json={})
        return
    assert answer.status_code in (200, 400, 404, 422), answer.text
    if answer.status_code == 200:
        assert answer.text.startswith('{"id":"chatcmpl-') or answer.text.endswith("[DONE]\n\n")
    else:
        assert answer.json()["error"]["message"]
