"""Token streams of replies that break off and are begun anew."""

from collections import defaultdict
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import FakeProvider, call, do, say
from tests.support.streams import Frame, body_of, is_done, read, without_pings

WORDS = "one two three four five six seven eight"


def broken(action: dict[str, Any], *, after: int) -> dict[str, Any]:
    """The action, whose stream breaks off once. The pause has pieces stored one by one."""
    return action | {"break_after": after, "pause_s": 0.05}


def texts_by_id(messages: list[Any]) -> dict[str, str]:
    """As V1's documentation has clients join the pieces of a token stream."""
    texts: defaultdict[str, str] = defaultdict(str)
    for message in messages:
        if message.message_type == "assistant_message":
            texts[message.id] += message.content
    return dict(texts)


def void_ids(messages: list[Any]) -> set[str]:
    return {
        str(message.event_data["message_id"])
        for message in messages
        if message.message_type == "event_message" and message.event_type == "retry"
    }


def stream(client: Letta, agent: AgentState, text: str) -> list[Any]:
    with client.agents.messages.create(
        agent.id, input=text, streaming=True, stream_tokens=True
    ) as events:
        return list(events)


def test_the_official_client_learns_what_is_void_and_has_the_whole_apart(
    client: Letta, agent: AgentState
) -> None:
    messages = stream(client, agent, do(broken(say(WORDS), after=4)))
    texts = texts_by_id(messages)
    assert len(texts) == 2
    (void_id,) = void_ids(messages)
    assert texts.pop(void_id).startswith("one")
    (stored,) = (
        message
        for message in client.agents.messages.list(agent.id)
        if message.message_type == "assistant_message"
    )
    assert texts == {stored.id: stored.content} == {stored.id: WORDS}
    assert [message.message_type for message in messages[-2:]] == [
        "stop_reason",
        "usage_statistics",
    ]


def test_a_reader_who_comes_later_never_sees_what_is_void(
    server: Product, agent: AgentState
) -> None:
    path = f"agents/{agent.id}/messages"
    text = do(broken(say(WORDS), after=3))  # the provider breaks off once for each text
    body = {"input": text, "streaming": True, "stream_tokens": True, "background": True}
    first, *frames = read(server, path, **body)
    run_id = body_of(first[1])["run_id"]

    def joined(frames: list[Frame]) -> str:
        bodies = [body_of(frame) for _, frame in frames]
        return "".join(
            str(body["content"])
            for body in bodies
            if body.get("message_type") == "assistant_message"
        )

    assert joined(frames) != WORDS
    again = without_pings(read(server, f"runs/{run_id}/stream"))
    assert joined(again) == WORDS
    assert again == frames[-len(again) :], "the rest is as it was, under the same numbers"
    assert is_done(again[-1][1])
    halfway = without_pings(read(server, f"runs/{run_id}/stream", starting_after=1))
    assert halfway == again


@pytest.mark.parametrize("guarded", [False, True])
def test_a_call_that_broke_off_is_closed_and_made_once(
    client: Letta, provider: FakeProvider, guarded: bool
) -> None:
    rules: Any = [{"type": "requires_approval", "tool_name": "memory_insert"}] * guarded
    agent = client.agents.create(
        model="openai/scripted",
        memory_blocks=[{"label": "human", "value": ""}],
        tool_rules=rules,
    )
    noting = call("memory_insert", label="human", new_string="x" * 40) | {"cut": 10}
    messages = stream(client, agent, do(broken(noting, after=4 + guarded), say("ok")))
    kind = "approval_request_message" if guarded else "tool_call_message"
    arguments: defaultdict[str, str] = defaultdict(str)
    for message in messages:
        if message.message_type == kind:
            arguments[message.id] += message.tool_call.arguments or ""
    (void_id,) = void_ids(messages)
    returns = [one.status for one in messages if one.message_type == "tool_return_message"]
    assert returns == ["error"] + ["success"] * (not guarded)
    whole = {text for message_id, text in arguments.items() if message_id != void_id}
    assert whole == {noting["calls"][0]["arguments"]}
    value = client.agents.blocks.retrieve("human", agent_id=agent.id).value
    assert value == ("" if guarded else "x" * 40)
