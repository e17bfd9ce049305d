"""Tools of a client of OpenAI's, approvals, and runs that last, break and are repeated."""

import json
import threading
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from openai import (
    APIStatusError,
    ConflictError,
    OpenAI,
)

from tests.support.approvals import INSERT, approval, await_rest, guarded_agent, memory_of
from tests.support.openai_client import LOOK, history_of, joined, openai_client, says, text_of
from tests.support.product import Product
from tests.support.provider import (
    FakeProvider,
    call,
    do,
    last_user_text,
    say,
    together,
)


@pytest.fixture(scope="module")
def openai(server: Product) -> OpenAI:
    return openai_client(server)


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def test_a_tool_of_the_client_is_called_and_answered(
    openai: OpenAI, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(say("I look.") | call("Look", path="a.txt"), say("There it is."))
    told = says(text)
    first = openai.chat.completions.create(model=agent.id, messages=told, tools=[LOOK])
    (choice,) = first.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.")
    (called,) = choice.message.tool_calls or []
    assert called.type == "function"
    assert called.function.name == "Look"
    assert json.loads(called.function.arguments) == {"path": "a.txt"}
    told += [choice.message.model_dump(exclude_none=True)]
    told += [{"role": "tool", "tool_call_id": called.id, "content": "contents of a.txt"}]
    second = openai.chat.completions.create(model=agent.id, messages=told, tools=[LOOK])
    assert text_of(second) == "There it is."
    assert "contents of a.txt" in provider.prompts[-1][-1]["content"]
    again = openai.chat.completions.create(model=agent.id, messages=told, tools=[LOOK])
    assert again.id == second.id, "what was answered is answered from the record"
    assert provider.problems == []


def test_calls_are_streamed_and_answered_together_with_more(
    openai: OpenAI, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(together(call("Look", path="a"), call("Look", path="b")))
    chunks = list(
        openai.chat.completions.create(
            model=agent.id, messages=says(text), tools=[LOOK], stream=True
        )
    )
    (asked,) = [one.choices[0].delta for one in chunks if one.choices[0].delta.tool_calls]
    calls = asked.tool_calls or []
    assert [one.index for one in calls] == [0, 1]
    assert [json.loads(one.function.arguments or "")["path"] for one in calls] == ["a", "b"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    told: Any = [
        *says(text),
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": calls[1].id, "content": [{"type": "text", "text": "B"}]},
        {"role": "tool", "tool_call_id": calls[0].id, "content": None},
        {"role": "user", "content": "go on"},
    ]
    done = openai.chat.completions.create(model=agent.id, messages=told)
    assert text_of(done) == "You said: go on"
    returned = [one["content"] for one in provider.prompts[-1] if one["role"] == "tool"]
    assert '"message": "B"' in returned[1]
    assert provider.problems == []


def test_calls_that_are_left_unanswered_are_asked_again(openai: OpenAI, agent: AgentState) -> None:
    text = do(together(call("Look", path="a"), call("Look", path="b")), say("done"))
    first = openai.chat.completions.create(model=agent.id, messages=says(text), tools=[LOOK])
    one, other = first.choices[0].message.tool_calls or []
    told: Any = [{"role": "tool", "tool_call_id": one.id, "content": "A"}]
    second = openai.chat.completions.create(model=agent.id, messages=told)
    (left,) = second.choices[0].message.tool_calls or []
    assert left.id == other.id


def test_whoever_types_on_leaves_its_tools_behind(
    openai: OpenAI, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(call("Look", path="a"))
    openai.chat.completions.create(model=agent.id, messages=says(text), tools=[LOOK])
    done = openai.chat.completions.create(model=agent.id, messages=says(text, "", "never mind"))
    assert text_of(done) == "You said: never mind"
    returned = [one["content"] for one in provider.prompts[-1] if one["role"] == "tool"]
    assert "went on without" in returned[-1]
    assert provider.problems == []


def test_tools_that_the_client_forbids_are_not_offered(
    openai: OpenAI, agent: AgentState, provider: FakeProvider
) -> None:
    openai.chat.completions.create(
        model=agent.id, messages=says("hello"), tools=[LOOK], tool_choice="none"
    )
    offered = [tool["function"]["name"] for tool in provider.requests[-1]["tools"]]
    assert "Look" not in offered


def test_what_a_tool_returned_that_nobody_asked_for_is_refused(
    openai: OpenAI, agent: AgentState
) -> None:
    told: Any = [{"role": "tool", "tool_call_id": "call_x", "content": "A"}]
    with pytest.raises(APIStatusError, match="No tool call is currently awaiting") as refused:
        openai.chat.completions.create(model=agent.id, messages=told)
    assert refused.value.status_code == 400


@pytest.mark.parametrize("streams", [False, True])
def test_a_call_that_waits_for_a_person_is_said_in_a_sentence(
    openai: OpenAI, client: Letta, streams: bool
) -> None:
    agent = guarded_agent(client)
    told = says(do(say("I note it.") | INSERT, say("done")))
    if streams:
        chunks = list(openai.chat.completions.create(model=agent.id, messages=told, stream=True))
        text, reason = joined(chunks), chunks[-1].choices[0].finish_reason
    else:
        done = openai.chat.completions.create(model=agent.id, messages=told)
        text, reason = text_of(done), done.choices[0].finish_reason
    pending = client.agents.retrieve(agent.id).pending_approval
    assert pending is not None
    assert reason == "stop"
    assert text.startswith("I note it.\n\n[This waits for a person's approval of: memory_insert.")
    assert pending.id in text
    with pytest.raises(ConflictError) as refused:
        openai.chat.completions.create(model=agent.id, messages=says("yes"))
    assert refused.value.code == "PENDING_APPROVAL"
    assert pending.id in refused.value.message
    assert memory_of(client, agent) == "nothing"
    message: Any = {"type": "approval", "approvals": [approval(pending.id)]}
    client.agents.messages.create(agent.id, messages=[message])
    after = openai.chat.completions.create(model=agent.id, messages=says("hello"))
    assert text_of(after) == "You said: hello"


def test_a_client_that_goes_away_cancels_nothing(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "wait for me")
    body = {"model": agent.id, "messages": says("wait for me"), "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
        assert gate.reached.wait(20)
    gate.opened.set()
    await_rest(client, agent)
    shown = client.agents.messages.list(agent.id).items
    assert shown[-1].content == "You said: wait for me"


def test_a_repeated_request_joins_the_run_that_it_started(
    http: httpx.Client, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "only once")
    body = {"model": agent.id, "messages": says("only once")}
    answers: list[httpx.Response] = []

    def send(count: str) -> None:
        headers = {"x-stainless-retry-count": count}
        answers.append(http.post("/chat/completions", json=body, headers=headers))

    first = threading.Thread(target=send, args=("0",))
    first.start()
    assert gate.reached.wait(20)
    second = threading.Thread(target=send, args=("1",))
    second.start()
    gate.opened.set()
    first.join(20)
    second.join(20)
    assert answers[0].json() == answers[1].json()
    assert history_of(client, agent) == ["only once"]
    assert provider.asked("only once") == 1


def test_a_reply_that_breaks_off_is_said_to_begin_anew(openai: OpenAI, agent: AgentState) -> None:
    text = do(say("one two three four five") | {"break_after": 3, "pause_s": 0.05})
    chunks = openai.chat.completions.create(model=agent.id, messages=says(text), stream=True)
    said = joined(chunks)
    assert said.endswith("[The reply broke off here, and begins anew.]\n\none two three four five")


def test_a_turn_that_runs_out_of_steps_or_is_cancelled_ends_plainly(
    openai: OpenAI, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "stop me")
    finished: list[Any] = []

    def ask() -> None:
        finished.append(openai.chat.completions.create(model=agent.id, messages=says("stop me")))

    asking = threading.Thread(target=ask)
    asking.start()
    assert gate.reached.wait(20)
    client.agents.messages.cancel(agent.id)
    asking.join(20)
    gate.opened.set()
    assert text_of(finished[0]) == "[The run was cancelled.]"
    assert finished[0].choices[0].finish_reason == "stop"
