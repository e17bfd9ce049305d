"""Background runs: their streams are numbered, and can be read again from any chunk."""

import threading
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say
from tests.support.streams import body_of, is_done, is_ping, read, without_pings

EDIT = call("memory_insert", label="human", new_string="x")
TEXT = do(EDIT | {"reasoning": "hm"}, say("one two three four") | {"pause_s": 0.05})


def messages_of(agent: AgentState) -> str:
    return f"agents/{agent.id}/messages"


def stream_of(run_id: str) -> str:
    return f"runs/{run_id}/stream"


ANY_STREAM = "conversations/default/stream"
"""Where the stream of any run can be read, by `run_id`; `stream_of` is for background runs."""


def run_of(frame: str) -> str:
    return str(body_of(frame)["run_id"])


def conversation_of(client: Letta, run_id: str) -> str:
    return str(client.runs.retrieve(run_id).conversation_id)


def otid() -> str:
    return new_id("message").removeprefix("message-")


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("types", [None, ["assistant_message", "tool_return_message"]])
def test_a_stream_read_again_from_any_chunk_is_the_rest_of_it(
    server: Product, agent: AgentState, tokens: bool, types: list[str] | None
) -> None:
    first, *chunks = read(
        server,
        messages_of(agent),
        input=TEXT,
        streaming=True,
        background=True,
        stream_tokens=tokens,
        include_return_message_types=types,
    )
    assert is_ping(first[1])
    assert first[0] is None
    numbers = [number for number, _ in chunks]
    assert numbers == [*range(1, len(chunks) - 2), None, None, None], "the tail shows no numbers"
    assert is_done(chunks[-1][1])
    path = stream_of(run_of(first[1]))
    for after in range(len(chunks) + 2):
        ping, *rest = read(server, path, starting_after=after)
        assert is_ping(ping[1])
        assert ping[0] == (after or None), "a ping carries what the client has"
        assert rest == (chunks[after:] or chunks[-1:])
    assert list(read(server, path, starting_after=2, include_pings=False)) == chunks[2:]


def test_a_stream_is_shown_again_as_it_was_asked_for(server: Product, client: Letta) -> None:
    """The legacy loop has a view of its own, which is the run's and not the reader's."""
    agent = client.agents.create(agent_type="memgpt_v2_agent", model="openai/scripted")
    first, *chunks = read(
        server,
        f"{messages_of(agent)}/stream",
        input=do(say("spoken by a tool")),
        use_assistant_message=False,
        stream_tokens=True,
    )
    kinds = [body_of(frame).get("message_type") for _, frame in chunks]
    assert "tool_call_message" in kinds
    assert "assistant_message" not in kinds
    assert without_pings(read(server, ANY_STREAM, run_id=run_of(first[1]))) == chunks


def test_the_official_client_resumes_a_run_that_goes_on(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(EDIT, say("after the gate"))
    gate = provider.hold(
        lambda prompt: prompt[-1]["role"] == "tool" and prompt[-2].get("role") == "assistant"
    )
    stream = client.agents.messages.create(agent.id, input=text, streaming=True, background=True)
    with stream:
        seen = [next(stream) for _ in range(2)]
    assert [event.message_type for event in seen] == ["ping", "tool_call_message"]
    run_id = str(seen[0].run_id)
    assert seen[1].seq_id == 1
    resumed = client.runs.messages.stream(run_id, starting_after=1)
    ping, returned = next(resumed), next(resumed)
    assert (ping.message_type, ping.seq_id) == ("ping", 1)
    assert (returned.message_type, returned.seq_id) == ("tool_return_message", 2)
    assert gate.reached.wait(20)
    run = client.runs.retrieve(run_id)
    assert (run.status, run.background) == ("running", True)
    mine: dict[str, Any] = {"agent_id": agent.id, "background": True}
    assert [one.id for one in client.runs.list(**mine, active=True)] == [run_id]
    gate.opened.set()
    kinds = [event.message_type for event in resumed]
    assert kinds == ["assistant_message", "stop_reason", "usage_statistics"]
    assert client.runs.retrieve(run_id).status == "completed"
    assert client.runs.list(**mine, active=True).items == []
    assert [one.id for one in client.runs.list(**mine)] == [run_id]
    assert client.runs.list(agent_id=agent.id, background=False).items == []


def test_a_repeated_post_replays_the_run_from_its_start(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    body = {
        "messages": [{"role": "user", "content": TEXT, "otid": otid()}],
        "streaming": True,
        "stream_tokens": True,
        "background": True,
    }
    asked = provider.asked(TEXT)
    chunks = without_pings(read(server, messages_of(agent), **body))
    assert without_pings(read(server, messages_of(agent), **body)) == chunks
    assert without_pings(read(server, f"{messages_of(agent)}/stream", **body)) == chunks
    assert provider.asked(TEXT) - asked == 2, "two steps, once"
    assert len(client.runs.list(agent_id=agent.id).items) == 1


def test_a_repeated_post_to_a_conversation_replays_its_run_too(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    path = f"conversations/{conversation.id}/messages"
    text = do(say("said in a conversation") | {"pause_s": 0.02})
    body = {"messages": [{"role": "user", "content": text, "otid": otid()}]}
    options = {"stream_tokens": True, "background": True}
    chunks = without_pings(read(server, path, **body, **options))
    assert without_pings(read(server, path, **body, **options)) == chunks
    assert provider.asked(text) == 1
    resumed = read(
        server, f"conversations/{conversation.id}/stream", otid=body["messages"][0]["otid"]
    )
    assert without_pings(resumed) == chunks


def test_a_stream_can_be_joined_while_it_is_written(
    server: Product, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: "joined by two" in str(prompt[-1].get("content")))
    text = do(say("joined by two") | {"pause_s": 0.05})
    stream = read(server, messages_of(agent), input=text, streaming=True, stream_tokens=True)
    run_id = run_of(next(stream)[1])
    others: list[list[Any]] = []
    readers = [
        threading.Thread(
            target=lambda: others.append(without_pings(read(server, ANY_STREAM, run_id=run_id)))
        )
        for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    assert gate.reached.wait(20)
    gate.opened.set()
    chunks = without_pings(stream)
    for reader in readers:
        reader.join(20)
    assert others == [chunks] * 3


def test_a_failed_run_is_shown_again_with_its_error(
    server: Product, client: Letta, agent: AgentState
) -> None:
    first, *chunks = read(
        server, messages_of(agent), input=do({"fail": 401}), streaming=True, background=True
    )
    run_id = run_of(first[1])
    assert chunks[1][1].startswith("event: error\n")
    assert without_pings(read(server, stream_of(run_id))) == chunks
    with pytest.raises(APIStatusError):
        list(client.runs.messages.stream(run_id))


def test_the_run_of_a_json_send_has_a_stream_too(
    server: Product, client: Letta, agent: AgentState
) -> None:
    reply = client.agents.messages.create(agent.id, input="hello")
    chunks = without_pings(read(server, ANY_STREAM, run_id=str(reply.messages[0].run_id)))
    assert [body_of(frame).get("message_type") for _, frame in chunks] == [
        "assistant_message",
        "stop_reason",
        "usage_statistics",
        None,
    ]
    assert body_of(chunks[0][1])["content"] == reply.messages[0].content


def test_a_conversation_gives_the_stream_of_its_newest_open_run(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    done = client.agents.messages.create(agent.id, input="long done").messages[0]
    conversation_id = conversation_of(client, str(done.run_id))
    with pytest.raises(APIStatusError) as refused:
        client.conversations.messages.stream(conversation_id)
    assert refused.value.status_code == 400, "no run is open"

    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "the open one")
    body = {"messages": [{"role": "user", "content": "the open one", "otid": otid()}]}
    stream = read(server, messages_of(agent), **body, streaming=True, background=True)
    run_id = run_of(next(stream)[1])
    streams = [
        client.conversations.messages.stream(conversation_id),
        client.conversations.messages.stream("default", agent_id=agent.id),
        client.conversations.messages.stream(agent.id),
        client.conversations.messages.stream(conversation_id, run_id=run_id),
        client.conversations.messages.stream(conversation_id, otid=body["messages"][0]["otid"]),
    ]
    assert [next(one).run_id for one in streams] == [run_id] * 5
    gate.opened.set()
    chunks = without_pings(stream)
    for one in streams:
        assert [event.message_type for event in one] == [
            "assistant_message",
            "stop_reason",
            "usage_statistics",
        ]
    path = f"conversations/{conversation_id}/stream"
    again = without_pings(read(server, path, run_id=run_id, starting_after=1))
    assert again == chunks[1:], "a run that is named may be finished"
    assert (
        without_pings(read(server, path, otid=body["messages"][0]["otid"], starting_after=1))
        == again
    )


def test_what_names_no_stream_is_refused(server: Product, client: Letta, agent: AgentState) -> None:
    reply = client.agents.messages.create(agent.id, input="hello")
    run_id = str(reply.messages[0].run_id)
    conversation_id = conversation_of(client, run_id)

    def status(path: str, **body: Any) -> int:
        return httpx.post(f"{server.url}/v1/{path}", json=body).status_code

    assert status(stream_of(new_id("run"))) == 404
    assert status(stream_of("run-1")) == 400
    assert status(stream_of(run_id), starting_after=-1) == 422
    assert status(stream_of(run_id), starting_after="x") == 422
    assert status("conversations/default/stream") == 400, "agent_id is missing"
    assert status("conversations/default/stream", agent_id=new_id("agent")) == 404
    path = f"conversations/{conversation_id}/stream"
    assert status(path, otid=otid()) == 404
    assert status(path, run_id=new_id("run")) == 404
    assert status(path, run_id="x") == 400
    done = eventually_done(client, client.agents.messages.create_async(agent.id, input="hello").id)
    assert httpx.post(f"{server.url}/v1/{stream_of(done)}").status_code == 200, "no body needed"


def eventually_done(client: Letta, run_id: str) -> str:
    eventually(lambda: client.runs.retrieve(run_id).status == "completed", what="the run's end")
    return run_id


def test_a_run_that_was_not_made_in_the_background_is_refused_in_v1s_words(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    words = {
        "detail": "INVALID_ARGUMENT: Run was not created in background mode, so it cannot be "
        "retrieved."
    }
    text = "held in the foreground"
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == text)
    stream = read(server, messages_of(agent), input=text, streaming=True)
    run_id = run_of(next(stream)[1])
    assert gate.reached.wait(20)
    conversation_id = conversation_of(client, run_id)
    for path in (stream_of(run_id), f"conversations/{conversation_id}/stream"):
        answer = httpx.post(f"{server.url}/v1/{path}", json={})
        assert (answer.status_code, answer.json()) == (400, words)
    gate.opened.set()
    chunks = without_pings(stream)
    assert httpx.post(f"{server.url}/v1/{stream_of(run_id)}").json() == words, "at its end too"
    assert without_pings(read(server, ANY_STREAM, run_id=run_id)) == chunks, "but by its name"


def test_a_conversation_with_no_active_run_is_refused_in_v1s_words(
    server: Product, client: Letta, agent: AgentState
) -> None:
    run_id = client.agents.messages.create_async(agent.id, input="hello").id
    conversation_id = conversation_of(client, eventually_done(client, run_id))
    words = {"detail": "INVALID_ARGUMENT: No active runs found for this conversation."}
    for path, body in (
        (f"conversations/{conversation_id}/stream", {}),
        (ANY_STREAM, {"agent_id": agent.id}),
        (f"conversations/{agent.id}/stream", {}),
    ):
        answer = httpx.post(f"{server.url}/v1/{path}", json=body)
        assert (answer.status_code, answer.json()) == (400, words)


def test_a_stream_whose_log_was_purged_is_gone(
    server: Product, client: Letta, agent: AgentState
) -> None:
    run = client.agents.messages.create_async(agent.id, input="hello")
    run_id = eventually_done(client, run.id)
    server.query("UPDATE runs SET completed_at = now() - interval '2 days' WHERE id = %s", run_id)
    eventually(
        lambda: server.query("SELECT events_kept FROM runs WHERE id = %s", run_id) == [(False,)],
        what="the purge of the events",
    )
    for path in (stream_of(run_id), "conversations/default/stream"):
        answer = httpx.post(f"{server.url}/v1/{path}", json={"run_id": run_id})
        assert answer.status_code == 410
        assert run_id in answer.json()["detail"]


def test_background_needs_a_stream(server: Product, agent: AgentState) -> None:
    body = {"input": "hello", "background": True}
    answer = httpx.post(f"{server.url}/v1/{messages_of(agent)}", json=body)
    assert answer.status_code == 422
