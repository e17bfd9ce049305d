"""Decisions are about what was shown, and providers see their own ids, however they count them."""

import json
from typing import Any

import httpx
import pytest
from letta_client import BadRequestError, ConflictError, Letta
from letta_client.types import AgentState

from o.domain.approvals import digest_of
from o.domain.messages import ToolCall
from tests.support.approvals import (
    GUARDED,
    answer,
    approval,
    await_rest,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.product import Product
from tests.support.provider import (
    OTHER_HANDLE,
    Action,
    FakeProvider,
    call,
    counting_anew,
    do,
    say,
    together,
    with_one_id,
)
from tests.support.terminal import update

STYLES = [counting_anew, with_one_id]
TOOL: Any = [{"name": "Look"}]


def insert(text: str) -> Action:
    return call(GUARDED, label="human", new_string=text)


@pytest.fixture
def guarded(client: Letta) -> AgentState:
    return guarded_agent(client)


def ask(client: Letta, agent: AgentState, *actions: Action, **more: Any) -> Any:
    text = do(*actions, say("done"))
    return client.agents.messages.create(agent.id, input=text, **more)


def ids_of(request: Any) -> list[str]:
    return [one.tool_call_id for one in request.tool_calls]


@pytest.mark.parametrize("counts", STYLES)
def test_an_answer_posted_twice_never_answers_the_next_request(
    client: Letta, guarded: AgentState, provider: FakeProvider, counts: Any
) -> None:
    request = request_of(ask(client, guarded, counts(insert("A")), counts(insert("B"))))
    given = approval(request.tool_call.tool_call_id)
    second = request_of(answer(client, guarded, given))
    assert second.id != request.id
    again = answer(client, guarded, given)
    assert again.messages[0].run_id == second.run_id, "the reply of the first time"
    assert memory_of(client, guarded) == "nothing\nA"
    assert client.agents.retrieve(guarded.id).pending_approval.id == second.id
    answer(client, guarded, approval(second.tool_call.tool_call_id, approve=False))
    assert memory_of(client, guarded) == "nothing\nA"
    assert provider.problems == []


@pytest.mark.parametrize("counts", STYLES)
@pytest.mark.parametrize("first", [True, False])
def test_of_two_calls_with_one_id_only_the_one_that_was_approved_is_made(
    client: Letta, guarded: AgentState, provider: FakeProvider, counts: Any, first: bool
) -> None:
    request = request_of(ask(client, guarded, counts(together(insert("A"), insert("B")))))
    shown = {one.tool_call_id: json.loads(one.arguments) for one in request.tool_calls}
    assert [one["new_string"] for one in shown.values()] == ["A", "B"]
    one, other = shown
    request_of(answer(client, guarded, approval(one, approve=first)))
    assert memory_of(client, guarded) == "nothing"
    answer(client, guarded, approval(other, approve=not first))
    assert memory_of(client, guarded) == f"nothing\n{'A' if first else 'B'}"
    assert provider.problems == []
    returns = [json.loads(m["content"])["status"] for m in provider.prompts[-1][-2:]]
    assert returns == (["OK", "Failed"] if first else ["Failed", "OK"]), "each behind its own call"


@pytest.mark.parametrize("counts", STYLES)
def test_pieces_of_calls_with_one_id_are_joined_to_the_calls_that_wait(
    client: Letta, guarded: AgentState, counts: Any
) -> None:
    action = counts(together(insert("A"), insert("B")))
    stream = client.agents.messages.create(
        guarded.id, input=do(action, say("done")), streaming=True, stream_tokens=True
    )
    joined: dict[str, str] = {}
    for event in stream:
        if event.message_type == "approval_request_message":
            pieces: Any = event.tool_calls
            for one in pieces if isinstance(pieces, list) else [pieces]:
                joined[one.tool_call_id] = joined.get(one.tool_call_id, "") + (one.arguments or "")
    assert [json.loads(text)["new_string"] for text in joined.values()] == ["A", "B"]
    waiting = client.agents.retrieve(guarded.id).pending_approval
    assert [one.tool_call_id for one in waiting.tool_calls] == list(joined)


@pytest.mark.parametrize("counts", STYLES)
def test_what_a_clients_tools_return_is_read_behind_the_calls_that_it_is_of(
    client: Letta, agent: AgentState, provider: FakeProvider, counts: Any
) -> None:
    action = counts(together(call("Look", at="A"), call("Look", at="B")))
    request = request_of(ask(client, agent, action, client_tools=TOOL))
    one, other = ids_of(request)
    returns = [
        {"type": "tool", "tool_call_id": id_, "tool_return": text, "status": "success"}
        for id_, text in ((other, "seen at B"), (one, "seen at A"))
    ]
    messages: Any = [{"type": "tool_return", "tool_returns": returns}]
    client.agents.messages.create(agent.id, messages=messages)
    told = [json.loads(message["content"])["message"] for message in provider.prompts[-1][-2:]]
    assert told == ["seen at A", "seen at B"]
    assert provider.problems == []


def test_a_person_in_temporal_decides_one_of_two_calls_with_one_id(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, with_one_id(together(insert("A"), insert("B")))))
    thread = thread_of(server, guarded)
    one, other = ids_of(request)
    left = update(server, thread, "decide", tool_call_id=one, approve=False)["pending"]
    assert left["calls"] == [other]
    answer(client, guarded, approval(other))
    assert memory_of(client, guarded) == "nothing\nB"


def test_a_person_in_temporal_decides_a_whole_request_by_its_id_and_nothing_without_an_id(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, together(insert("A"), insert("B"))))
    thread = thread_of(server, guarded)
    with pytest.raises(AssertionError, match="tool_call_id") as refused:
        update(server, thread, "decide", approve=True)
    assert request.id in str(refused.value)
    assert client.agents.retrieve(guarded.id).pending_approval.id == request.id
    update(server, thread, "decide", tool_call_id=request.id, approve=True)
    again = update(server, thread, "decide", tool_call_id=request.id, approve=True)
    assert again["run_id"]
    answer(client, guarded, approval(request.id))
    assert memory_of(client, guarded) == "nothing\nA\nB"


def test_a_cancel_gives_each_of_two_calls_with_one_id_its_return(
    client: Letta, guarded: AgentState, provider: FakeProvider
) -> None:
    ask(client, guarded, with_one_id(together(insert("A"), insert("B"))))
    client.agents.messages.cancel(guarded.id)
    client.agents.messages.create(guarded.id, input="and now?")
    assert [message["role"] for message in provider.prompts[-1][-3:]] == ["tool", "tool", "user"]
    assert provider.problems == []
    assert memory_of(client, guarded) == "nothing"


@pytest.mark.parametrize("counts", [dict, *STYLES])
def test_a_model_reads_its_calls_under_the_ids_that_it_gave_them(
    client: Letta, agent: AgentState, provider: FakeProvider, counts: Any
) -> None:
    searches = [call("conversation_search", query=text) for text in ("one", "two")]
    ask(client, agent, counts(searches[0]), counts(together(*searches)))
    prompt = provider.prompts[-1]
    given = [one["id"] for m in prompt for one in m.get("tool_calls") or ()]
    returned = [message["tool_call_id"] for message in prompt if message["role"] == "tool"]
    assert given == returned
    first, second = "functions.conversation_search:0", "functions.conversation_search:1"
    expected = {
        dict: ["call_0", "call_0", "call_1"],
        counting_anew: [first, first, second],
        with_one_id: ["chatcmpl-tool-0123456789"] * 3,
    }
    assert given == expected[counts]
    assert provider.problems == []


def test_another_model_is_not_shown_the_ids_of_the_one_before(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    search = call("conversation_search", query="one")
    ask(client, agent, with_one_id(together(search, search)))
    client.agents.messages.create(agent.id, input="hello", override_model=OTHER_HANDLE)
    prompt = provider.prompts[-1]
    (ids,) = [[one["id"] for one in m["tool_calls"]] for m in prompt if m.get("tool_calls")]
    assert len(set(ids)) == 2
    assert "chatcmpl" not in json.dumps(prompt[1:3][1])
    client.agents.messages.create(agent.id, input="hello again")
    assert "chatcmpl-tool-0123456789" in json.dumps(provider.prompts[-1][2])
    assert provider.problems == []


@pytest.mark.parametrize("approve", [True, False])
def test_the_older_form_names_the_request_that_it_is_about(
    server: Product, client: Letta, guarded: AgentState, approve: bool
) -> None:
    request = request_of(ask(client, guarded, insert("A"), insert("B")))
    url = f"{server.url}/v1/agents/{guarded.id}/messages"
    blind = httpx.post(url, json={"messages": [{"type": "approval", "approve": approve}]})
    assert blind.status_code == 422
    assert "approval_request_id" in blind.text
    older: Any = {"type": "approval", "approve": approve, "approval_request_id": request.id}
    second = request_of(client.agents.messages.create(guarded.id, messages=[older]))
    again = client.agents.messages.create(guarded.id, messages=[older])
    assert again.messages[0].run_id == second.run_id
    assert client.agents.retrieve(guarded.id).pending_approval.id == second.id
    assert memory_of(client, guarded) == ("nothing\nA" if approve else "nothing")


def test_an_answer_that_names_another_request_than_that_of_its_calls_is_refused(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, insert("A"), insert("B")))
    second = request_of(answer(client, guarded, approval(request.id)))
    given = [approval(second.tool_call.tool_call_id)]

    def send(request_id: str) -> Any:
        message: Any = {
            "type": "approval",
            "approvals": given,
            "approval_request_id": request_id,
        }
        return client.agents.messages.create(guarded.id, messages=[message])

    with pytest.raises(BadRequestError, match=request.id):
        send(request.id)
    assert memory_of(client, guarded) == "nothing\nA"
    send(second.id)
    assert memory_of(client, guarded) == "nothing\nA\nB"


def test_an_otid_that_was_used_before_does_not_answer_another_request(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded, insert("A"), insert("B")))

    def send(*given: dict[str, Any]) -> Any:
        message: Any = {"type": "approval", "approvals": list(given), "otid": "answer-0"}
        return client.agents.messages.create(guarded.id, messages=[message])

    second = request_of(send(approval(request.id)))
    assert send(approval(request.id)).messages[0].run_id == second.run_id
    for given in (approval(second.id), approval(request.id, approve=False)):
        with pytest.raises(ConflictError):
            send(given)
    assert client.agents.retrieve(guarded.id).pending_approval.id == second.id
    assert memory_of(client, guarded) == "nothing\nA"


def test_an_otid_of_a_message_does_not_answer_a_request(client: Letta, guarded: AgentState) -> None:
    messages: Any = [{"role": "user", "content": do(insert("A"), say("done")), "otid": "send-0"}]
    request = request_of(client.agents.messages.create(guarded.id, messages=messages))
    given: Any = {"type": "approval", "approvals": [approval(request.id)], "otid": "send-0"}
    with pytest.raises(ConflictError, match="otid"):
        client.agents.messages.create(guarded.id, messages=[given])
    assert memory_of(client, guarded) == "nothing"


def test_an_otid_of_an_answer_brings_no_other_words(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded, insert("A")))
    answered: Any = {"type": "approval", "approvals": [approval(request.id)], "otid": "answer-0"}

    def send(*messages: Any) -> Any:
        return client.agents.messages.create(guarded.id, messages=messages)

    first = send(answered, {"role": "user", "content": "and this"})
    again = send(answered, {"role": "user", "content": "and this"})
    assert again.messages[0].run_id == first.messages[0].run_id
    for messages in (
        (answered, {"role": "user", "content": "and that"}),
        ({"role": "user", "content": "and that", "otid": "answer-0"},),
    ):
        with pytest.raises(ConflictError, match="otid"):
            send(*messages)
    assert memory_of(client, guarded) == "nothing\nA"


def as_older_releases_stored(server: Product, request: Any) -> None:
    """Give the calls of a request the long id that the model gave them, as they were kept then."""
    ((calls,),) = server.query("SELECT tool_calls FROM messages WHERE id = %s", request.id)
    old = [one | {"id": one["given"]["id"], "given": None} for one in calls]
    server.query(
        "UPDATE messages SET tool_calls = %s::jsonb WHERE id = %s", json.dumps(old), request.id
    )
    server.query(
        "UPDATE approvals SET calls = %s::jsonb, digest = %s WHERE id = %s",
        json.dumps([one["id"] for one in old]),
        digest_of([ToolCall.model_validate(one) for one in old]),
        request.id,
    )


@pytest.mark.parametrize("end", ["approved", "denied", "expired", "cancelled"])
def test_calls_that_an_older_release_stored_under_one_id_are_answered_together(
    server: Product, client: Letta, guarded: AgentState, provider: FakeProvider, end: str
) -> None:
    request = request_of(ask(client, guarded, with_one_id(together(insert("A"), insert("B")))))
    as_older_releases_stored(server, request)
    waiting: Any = client.agents.retrieve(guarded.id).pending_approval
    (shown,) = {one.tool_call_id for one in waiting.tool_calls}
    for approve in (True, False):
        with pytest.raises(ConflictError, match=request.id):
            answer(client, guarded, approval(shown, approve=approve))
    match end:
        case "expired":
            server.query("UPDATE approvals SET expires_at = now() WHERE id = %s", request.id)
            await_rest(client, guarded)
        case "cancelled":
            client.agents.messages.cancel(guarded.id)
        case _:
            answer(client, guarded, approval(request.id, approve=end == "approved"))
    assert memory_of(client, guarded) == ("nothing\nA\nB" if end == "approved" else "nothing")
    after = client.agents.messages.create(guarded.id, input="and now?")
    assert after.messages[-1].content == "You said: and now?"
    lost = "calls that were given other ids than"  # whose id it was is not known any more
    assert [one for one in provider.problems if lost not in one] == []


def test_an_answer_that_fits_two_requests_of_an_older_release_has_to_name_one(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    first = request_of(ask(client, guarded, with_one_id(insert("A")), with_one_id(insert("B"))))
    as_older_releases_stored(server, first)
    second = request_of(answer(client, guarded, approval(first.id)))
    as_older_releases_stored(server, second)
    given = [approval("chatcmpl-tool-0123456789")]
    with pytest.raises(ConflictError, match="approval_request_id"):
        answer(client, guarded, *given)
    assert memory_of(client, guarded) == "nothing\nA"
    named: Any = {"type": "approval", "approvals": given, "approval_request_id": second.id}
    client.agents.messages.create(guarded.id, messages=[named])
    assert memory_of(client, guarded) == "nothing\nA\nB"


def thread_of(server: Product, agent: AgentState) -> str:
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    return str(conversation_id)
