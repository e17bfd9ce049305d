"""Agents write to one another: answers come back once, and nobody waits for ever."""

import ast
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider, Gate, call, do, last_user_text, say

WAIT = "send_message_to_agent_and_wait_for_reply"
ASYNC = "send_message_to_agent_async"
BY_TAGS = "send_message_to_agents_matching_tags"


def ask(to: AgentState | str, message: str) -> dict[str, Any]:
    """The action of a model that writes to an agent and waits."""
    other = to if isinstance(to, str) else to.id
    return call(WAIT, message=message, other_agent_id=other)


@pytest.fixture
def team(client: Letta) -> Iterator[list[AgentState]]:
    """Three agents that can write to one another."""
    made = [
        client.agents.create(
            name=name, model=HANDLE, extra_body={"include_multi_agent_tools": True}
        )
        for name in ("ann", "ben", "cem")
    ]
    yield made
    for agent in made:
        client.agents.delete(agent.id)


def returns_of(reply: Any) -> list[Any]:
    return [one for one in reply.messages if one.message_type == "tool_return_message"]


def said(reply: Any) -> list[str]:
    return [one.content for one in reply.messages if one.message_type == "assistant_message"]


def told(client: Letta, agent: AgentState) -> list[str]:
    """What stands in an agent's history as a user's message, oldest first."""
    page = client.agents.messages.list(agent.id, order="asc", limit=100)
    return [str(one.content) for one in page.items if one.message_type == "user_message"]


class Sending(threading.Thread):
    """A message that is sent by a thread of its own."""

    def __init__(self, client: Letta, agent: AgentState, text: str) -> None:
        super().__init__(daemon=True)
        self._client, self._agent, self._text = client, agent, text
        self.reply: Any = None
        self.start()

    def run(self) -> None:
        self.reply = self._client.agents.messages.create(self._agent.id, input=self._text)

    def answer(self) -> Any:
        self.join(60)
        assert self.reply is not None, "there was no answer"
        return self.reply


def held(provider: FakeProvider, text: str) -> Gate:
    return provider.hold(lambda prompt: last_user_text(prompt) == text)


def test_an_agent_has_the_tools_that_it_asks_for(client: Letta, team: list[AgentState]) -> None:
    tools = client.agents.tools.list(team[0].id, order="asc").items
    among_agents = {tool.name: tool for tool in tools if tool.name and "send_message" in tool.name}
    assert set(among_agents) == {WAIT, ASYNC, BY_TAGS}
    assert {tool.tool_type for tool in among_agents.values()} == {"letta_multi_agent_core"}
    assert "run_code" not in {tool.name for tool in tools}


def test_the_answer_of_another_agent_comes_back(
    client: Letta, team: list[AgentState], provider: FakeProvider
) -> None:
    ann, ben, _ = team
    text = do(ask(ben, "hello ben"), say("done"))
    reply = client.agents.messages.create(ann.id, input=text)
    (returned,) = returns_of(reply)
    assert returned.status == "success"
    assert ast.literal_eval(returned.tool_return) == {
        "agent_id": ben.id,
        "response": ["You said: hello ben"],
    }
    (message,) = told(client, ben)
    assert message.startswith(f"[Incoming message from agent with ID '{ann.id}' - ")
    assert message.endswith("] hello ben")
    assert not provider.problems
    for _ in range(2):  # and again, which V1 gets wrong
        again = client.agents.messages.create(ann.id, input=text)
        assert "You said: hello ben" in returns_of(again)[0].tool_return


def test_a_message_that_nobody_waits_for_arrives(client: Letta, team: list[AgentState]) -> None:
    ann, ben, _ = team
    text = do(call(ASYNC, message="fyi", other_agent_id=ben.id), say("done"))
    reply = client.agents.messages.create(ann.id, input=text)
    assert returns_of(reply)[0].status == "success"
    assert said(reply) == ["done"]
    (message,) = eventually(lambda: told(client, ben), what="the message")
    assert message.endswith("] fyi")
    assert ASYNC in message


NOBODY = "agent-00000000-0000-4000-8000-00000000ffff"


@pytest.mark.parametrize("agent_id", [NOBODY, "ben", ""])
def test_an_agent_that_is_not_there_is_told(
    client: Letta, team: list[AgentState], agent_id: str
) -> None:
    reply = client.agents.messages.create(team[0].id, input=do(ask(agent_id, "?"), say("done")))
    (returned,) = returns_of(reply)
    assert returned.status == "error"
    assert "there is no agent" in returned.tool_return


def test_an_agent_that_is_deleted_while_it_is_waited_for_is_told(
    client: Letta, team: list[AgentState], provider: FakeProvider
) -> None:
    ann = team[0]
    doomed = client.agents.create(name="doomed", model=HANDLE)
    gate = held(provider, "to the doomed")
    sending = Sending(client, ann, do(ask(doomed, "to the doomed"), say("done")))
    assert gate.reached.wait(30)
    client.agents.delete(doomed.id)
    (returned,) = returns_of(sending.answer())
    gate.opened.set()
    assert (returned.status, "was deleted" in returned.tool_return) == ("error", True)


def test_an_agent_that_fails_is_told(client: Letta, team: list[AgentState]) -> None:
    ann, ben, _ = team
    broken = do({"fail": 400, "code": "broken"})
    reply = client.agents.messages.create(ann.id, input=do(ask(ben, broken), say("done")))
    (returned,) = returns_of(reply)
    assert (returned.status, "failed at it" in returned.tool_return) == ("error", True)


def test_an_agent_that_wants_approval_is_not_waited_for(
    client: Letta, team: list[AgentState]
) -> None:
    ann, ben, _ = team
    client.agents.tools.update_approval(ASYNC, agent_id=ben.id, body_requires_approval=True)
    asks = do(call(ASYNC, message="x", other_agent_id=ann.id), say("sent"))
    first = client.agents.messages.create(ann.id, input=do(ask(ben, asks), say("done")))
    (returned,) = returns_of(first)
    assert (returned.status, "approve" in returned.tool_return) == ("error", True)
    second = client.agents.messages.create(ann.id, input=do(ask(ben, "hi"), say("done")))
    (returned,) = returns_of(second)
    assert (returned.status, "Nothing was sent" in returned.tool_return) == ("error", True)


def test_a_run_that_is_cancelled_is_told(
    client: Letta, team: list[AgentState], provider: FakeProvider
) -> None:
    ann, ben, _ = team
    gate = held(provider, "take long")
    sending = Sending(client, ann, do(ask(ben, "take long"), say("done")))
    assert gate.reached.wait(30)
    client.agents.messages.cancel(ben.id)
    (returned,) = returns_of(sending.answer())
    gate.opened.set()
    assert (returned.status, "was cancelled" in returned.tool_return) == ("error", True)


def test_a_cancelled_sender_waits_no_more_and_the_other_agent_goes_on(
    client: Letta, team: list[AgentState], provider: FakeProvider
) -> None:
    ann, ben, _ = team
    gate = held(provider, "go on")
    sending = Sending(client, ann, do(ask(ben, "go on"), say("done")))
    assert gate.reached.wait(30)
    client.agents.messages.cancel(ann.id)
    assert sending.answer().stop_reason.stop_reason == "cancelled"
    gate.opened.set()
    page = client.agents.messages.list
    eventually(
        lambda: "You said: go on" in [getattr(m, "content", "") for m in page(ben.id).items],
        what="ben's answer",
    )


def test_an_agent_that_waits_for_itself_is_told_at_once(
    client: Letta, team: list[AgentState]
) -> None:
    ann = team[0]
    reply = client.agents.messages.create(ann.id, input=do(ask(ann, "me"), say("done")))
    (returned,) = returns_of(reply)
    assert (returned.status, "an answer of your own" in returned.tool_return) == ("error", True)
    assert len(told(client, ann)) == 1, "nothing was sent"


def test_who_closes_a_circle_of_two_or_three_is_told_at_once(
    client: Letta, team: list[AgentState]
) -> None:
    ann, ben, cem = team
    for between in ([ben], [ben, cem]):
        text = do(ask(ann, "back"), say("so I end"))
        for other in between[:0:-1]:
            text = do(ask(other, text), say("so I end"))
        reply = client.agents.messages.create(ann.id, input=do(ask(ben, text), say("done")))
        (returned,) = returns_of(reply)
        assert (returned.status, said(reply)) == ("success", ["done"])
        assert "so I end" in returned.tool_return
        last = client.agents.messages.list(between[-1].id, limit=20).items
        refused = [m for m in last if m.message_type == "tool_return_message"]
        assert f"agent {ann.id} waits for you" in refused[-1].tool_return
    assert len(told(client, ann)) == 2, "nothing was sent to who waits"


@pytest.mark.parametrize("first", ["ann", "ben", "both"])
def test_two_who_write_to_each_other_at_once_both_go_on(
    client: Letta, team: list[AgentState], provider: FakeProvider, first: str
) -> None:
    ann, ben, _ = team
    texts = {
        "ann": do(ask(ben, f"from ann {first}"), say("ann is done")),
        "ben": do(ask(ann, f"from ben {first}"), say("ben is done")),
    }
    gates = {name: held(provider, text) for name, text in texts.items()}
    sendings = {
        "ann": Sending(client, ann, texts["ann"]),
        "ben": Sending(client, ben, texts["ben"]),
    }
    for gate in gates.values():
        assert gate.reached.wait(30)
    if first != "both":
        gates[first].opened.set()
        other = ben if first == "ann" else ann
        eventually(
            lambda: len(client.runs.list(agent_id=other.id, active=True).items) == 2,
            what="the message in the other's queue",
        )
    for gate in gates.values():
        gate.opened.set()
    replies = {name: sending.answer() for name, sending in sendings.items()}
    for name, reply in replies.items():
        assert said(reply)[-1] == f"{name} is done"
    status = {name: returns_of(reply)[0].status for name, reply in replies.items()}
    assert sorted(status.values()) == ["error", "success"]
    if first != "both":
        assert status[first] == "success"


def test_agents_with_tags_are_asked_a_few_at_a_time_and_answer_in_order(
    client: Letta, team: list[AgentState], provider: FakeProvider
) -> None:
    ann = team[0]
    tag = new_id("tag")
    crowd = [
        client.agents.create(
            name=f"w{n}", model=HANDLE, tags=[tag, f"n{n % 2}"], include_base_tools=False
        )
        for n in range(12)
    ]
    failing = client.agents.create(
        name="other", model=HANDLE, tags=[tag, "n3"], include_base_tools=False
    )
    gates = [provider.hold(lambda prompt: last_user_text(prompt) == "all of you") for _ in crowd]
    tags = {"match_all": [tag], "match_some": ["n0", "n1"]}
    sending = Sending(client, ann, do(call(BY_TAGS, message="all of you", **tags), say("done")))
    eventually(lambda: sum(gate.reached.is_set() for gate in gates) == 10, what="ten at work")
    begun = [agent.id for agent in crowd if client.runs.list(agent_id=agent.id).items]
    assert len(begun) == 10, "no more than ten at once"
    for gate in gates:
        gate.opened.set()
    (returned,) = returns_of(sending.answer())
    found = ast.literal_eval(returned.tool_return)
    assert [one["agent_id"] for one in found] == [agent.id for agent in crowd]
    assert {tuple(one["response"]) for one in found} == {("You said: all of you",)}
    assert told(client, failing) == []
    client.agents.delete(crowd[0].id)
    broken = do({"fail": 400, "code": "broken"})
    text = do(call(BY_TAGS, message=broken, match_all=[tag], match_some=["n3"]), say("done"))
    (returned,) = returns_of(client.agents.messages.create(ann.id, input=text))
    assert "<error: " in ast.literal_eval(returned.tool_return)[0]["response"][0]
    for wanted in ([], ["nobody"]):
        text = do(call(BY_TAGS, message="?", match_all=wanted, match_some=[]), say("done"))
        (returned,) = returns_of(client.agents.messages.create(ann.id, input=text))
        assert (returned.status, "Nothing was sent" in returned.tool_return) == ("error", True)
    for agent in [*crowd[1:], failing]:
        client.agents.delete(agent.id)
