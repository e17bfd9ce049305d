"""What messages look like: fields, ids of their parts, input of every kind."""

import base64
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say

ENVELOPE = {
    "id",
    "date",
    "name",
    "message_type",
    "otid",
    "sender_id",
    "step_id",
    "is_err",
    "seq_id",
    "run_id",
}
PIXEL = base64.b64encode(b"\x89PNG").decode()


def post(server: Product, agent: AgentState, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/agents/{agent.id}/messages", json=body, timeout=30)


def raw_list(server: Product, agent: AgentState, **query: Any) -> list[dict[str, Any]]:
    url = f"{server.url}/v1/agents/{agent.id}/messages"
    found: list[dict[str, Any]] = httpx.get(url, params=query).json()
    return found


def test_every_message_has_the_whole_envelope_nulls_included(
    server: Product, agent: AgentState
) -> None:
    text = do(
        call("memory_insert", label="human", new_string="x") | {"reasoning": "hm"}, say("done")
    )
    reply = post(server, agent, input=text).json()
    extra = {
        "reasoning_message": {"source", "reasoning", "signature"},
        "tool_call_message": {"tool_call", "tool_calls"},
        "tool_return_message": {
            "tool_return",
            "status",
            "tool_call_id",
            "stdout",
            "stderr",
            "tool_returns",
        },
        "assistant_message": {"content"},
        "system_message": {"content"},
        "user_message": {"content"},
    }
    shown = reply["messages"] + raw_list(server, agent)
    assert {message["message_type"] for message in shown} == set(extra)
    for message in shown:
        assert message.keys() == ENVELOPE | extra[message["message_type"]]
        assert message["date"].endswith("+00:00")
        assert "." not in message["date"]
    thought, called, returned, said = reply["messages"]
    assert thought["source"] == "reasoner_model"
    assert called["tool_calls"] == [called["tool_call"]]
    assert called["tool_call"].keys() == {"name", "arguments", "tool_call_id"}
    (one,) = returned["tool_returns"]
    assert one["type"] == "tool"
    for name in ("tool_return", "status", "tool_call_id", "stdout", "stderr"):
        assert one[name] == returned[name]
    assert returned["name"] == "memory_insert"
    assert said["step_id"] not in (None, called["step_id"])


def test_an_answer_has_v1s_fields(server: Product, agent: AgentState) -> None:
    said = post(server, agent, input="hello").json()
    assert said.keys() == {"messages", "stop_reason", "usage", "logprobs", "turns"}
    assert said["stop_reason"] == {"message_type": "stop_reason", "stop_reason": "end_turn"}
    assert (said["logprobs"], said["turns"], said["usage"]["run_ids"]) == (None, None, None)
    assert said["usage"]["message_type"] == "usage_statistics"
    asked = "SELECT options ->> 'max_steps' FROM runs WHERE agent_id = %s"
    assert server.query(asked, agent.id) == [("50",)]


def test_parts_of_one_message_share_its_id_and_number_their_otids(
    server: Product, agent: AgentState
) -> None:
    action = call("memory_insert", label="human", new_string="x")
    text = do(action | {"reasoning": "hm", "say": "I note it."}, say("done"))
    thought, said, called, returned, _ = post(server, agent, input=text).json()["messages"]
    assert thought["id"] == said["id"] == called["id"] != returned["id"]
    places = [int(m["otid"][-2:], 16) & 0x7F for m in (thought, said, called, returned)]
    assert places == [0, 1, 2, 0]
    for message in (thought, said, called):
        assert message["otid"][:-2] == message["id"].removeprefix("message-")[:-2]
    listed = {m["otid"]: m["message_type"] for m in raw_list(server, agent)}
    assert listed[called["otid"]] == "tool_call_message"


def test_the_model_sees_packed_returns_and_the_client_their_text(
    server: Product, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(call("memory_insert", label="nobody", new_string="x"), say("done"))
    reply = post(server, agent, input=text).json()["messages"]
    assert "no memory block" in reply[1]["tool_return"]
    packed = provider.prompts[-1][-1]["content"]
    assert packed.startswith('{"status": "Failed", "message": "There is no memory block')
    assert raw_list(server, agent)[-2]["tool_return"] == reply[1]["tool_return"]


def test_only_the_types_asked_for_come_with_stop_reason_and_usage(
    client: Letta, agent: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    reply = client.agents.messages.create(
        agent.id, input=text, include_return_message_types=["tool_return_message"]
    )
    assert [m.message_type for m in reply.messages] == ["tool_return_message"]
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.usage.step_count == 2


def test_parts_and_images_reach_the_model_and_come_back_as_they_were(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    content: list[Any] = [
        {"type": "text", "text": "What is this?"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "text", "text": "And that?"},
    ]
    client.agents.messages.create(agent.id, messages=[{"role": "user", "content": content}])
    assert provider.prompts[-1][-1]["content"] == [
        {"type": "text", "text": "What is this?\nAnd that?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    shown: Any = client.agents.messages.list(agent.id).items[1]
    kept = [part.to_dict() for part in shown.content]
    assert kept == content
    client.agents.messages.create(agent.id, input=content)
    assert provider.prompts[-1][-1]["content"][1]["type"] == "image_url"


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "video/mp4", "data": PIXEL},
        {"type": "base64", "media_type": "image/png", "data": ""},
        {"type": "base64", "media_type": "image/png"},
        {"type": "url", "url": "file:///etc/passwd"},
        {"type": "pigeon", "url": "https://example.com/cat.png"},
        {},
    ],
)
def test_an_image_of_an_unknown_kind_is_refused(
    server: Product, agent: AgentState, source: dict[str, str]
) -> None:
    content = [{"type": "image", "source": source}]
    answer = post(server, agent, messages=[{"role": "user", "content": content}])
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert len(raw_list(server, agent)) == 1


def test_system_and_assistant_messages_can_be_sent_too(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    client.agents.messages.create(
        agent.id,
        messages=[
            {"role": "system", "content": "It is Monday."},
            {"role": "assistant", "content": "Good morning!"},
            {"role": "user", "content": "Good morning.", "name": "Ada"},
        ],
    )
    assert provider.prompts[-1][1:] == [
        {"role": "system", "content": "It is Monday."},
        {"role": "assistant", "content": "Good morning!"},
        {"role": "user", "content": "Good morning.", "name": "Ada"},
    ]
    shown: Any = client.agents.messages.list(agent.id).items[1:4]
    assert [(m.message_type, m.content) for m in shown] == [
        ("system_message", "It is Monday."),
        ("assistant_message", "Good morning!"),
        ("user_message", "Good morning."),
    ]


def test_names_and_senders_are_kept_and_odd_names_are_not_sent_on(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    client.agents.messages.create(
        agent.id,
        messages=[{"role": "user", "content": "hi", "name": "Ada Lovelace", "sender_id": "s-1"}],
    )
    assert provider.prompts[-1][-1] == {"role": "user", "content": "hi"}
    kept: Any = client.agents.messages.list(agent.id).items[1]
    assert (kept.name, kept.sender_id) == ("Ada Lovelace", "s-1")


def test_another_model_answers_when_the_request_names_one(
    client: Letta, server: Product, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hi", override_model=HANDLE)
    assert server.query("SELECT model FROM steps WHERE agent_id = %s", agent.id) == [(HANDLE,)]
    with pytest.raises(APIStatusError) as unknown:
        client.agents.messages.create(agent.id, input="hi", override_model="openai/nonsense")
    assert unknown.value.status_code == 404
    assert len(client.agents.messages.list(agent.id).items) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"input": "x", "messages": [{"role": "user", "content": "x"}]},
        {},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"input": "x", "max_steps": 0},
        {"input": "x", "use_assistant_message": "perhaps"},
    ],
)
def test_a_send_that_is_not_clear_is_refused(
    server: Product, agent: AgentState, body: dict[str, Any]
) -> None:
    assert post(server, agent, **body).status_code == 422
