"""A conversation through the official client: JSON answers, memory, limits of a turn."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import FakeProvider, call, do, say


def types_of(messages: Sequence[object]) -> list[str]:
    return [message.message_type for message in messages]  # type: ignore[attr-defined]


def test_a_plain_answer_ends_the_turn_and_counts_its_tokens(
    client: Letta, agent: AgentState
) -> None:
    reply = client.agents.messages.create(agent.id, input="hello")
    assert types_of(reply.messages) == ["assistant_message"]
    assert reply.messages[0].content == "You said: hello"
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.usage.step_count == 1
    assert reply.usage.total_tokens == reply.usage.context_tokens == 18


def test_a_tool_turn_shows_call_and_return_under_one_step_and_sums_usage(
    client: Letta, agent: AgentState
) -> None:
    reply = client.agents.messages.create(
        agent.id,
        messages=[
            {
                "role": "user",
                "content": do(
                    call("memory_insert", label="human", new_string="Their name is Ada."),
                    say("noted"),
                ),
            }
        ],
    )
    called, returned, said = reply.messages
    assert types_of(reply.messages) == [
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert called.step_id == returned.step_id != said.step_id
    assert {message.run_id for message in reply.messages} == {called.run_id}
    assert returned.tool_return == "Nothing is known yet.\nTheir name is Ada."
    assert returned.status == "success"
    assert returned.tool_call_id == called.tool_call.tool_call_id
    assert (reply.usage.step_count, reply.usage.total_tokens, reply.usage.context_tokens) == (
        2,
        36,
        18,
    )


def test_the_next_turn_sees_the_edited_memory(client: Letta, agent: AgentState) -> None:
    edit = call(
        "memory_replace",
        label="human",
        old_string="Nothing is known yet.",
        new_string="Their name is Grace.",
    )
    client.agents.messages.create(agent.id, input=do(edit, say("ok")))
    reply = client.agents.messages.create(agent.id, input="Who am I?")
    assert reply.messages[0].content == "You are Grace."
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "Their name is Grace."


def test_a_running_turn_keeps_the_prompt_it_began_with(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(call("memory_insert", label="human", new_string="new line"), say("ok"))
    client.agents.messages.create(agent.id, input=text)
    first, second = (prompt[0]["content"] for prompt in provider.prompts[-2:])
    assert first == second
    client.agents.messages.create(agent.id, input="again")
    assert "new line" in provider.prompts[-1][0]["content"]


def test_the_prompt_is_the_same_to_the_byte_while_memory_is(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    for n in range(3):
        client.agents.messages.create(agent.id, input=f"message {n}")
    prompts = provider.prompts[-3:]
    assert prompts[0] == prompts[1][: len(prompts[0])]
    assert prompts[1] == prompts[2][: len(prompts[1])]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("memory_insert", '{"label": "human", "new_string"', "not valid JSON"),
        ("memory_insert", "[1]", "not a JSON object"),
        ("memory_insert", "[]", "new_string: Field required"),  # so some say that there are none
        ("memory_insert", '{"label": "human"}', "new_string: Field required"),
        ("memory_insert", '{"label": "nobody", "new_string": "x"}', "no memory block"),
        (
            "memory_replace",
            '{"label": "human", "old_string": "absent", "new_string": ""}',
            "not found",
        ),
        ("launch_rocket", "{}", "[ToolConstraintError] Cannot call launch_rocket"),
    ],
)
def test_a_bad_tool_call_becomes_an_error_return_and_the_turn_goes_on(
    client: Letta, agent: AgentState, name: str, arguments: str, expected: str
) -> None:
    action = {"calls": [{"name": name, "arguments": arguments}]}
    reply = client.agents.messages.create(agent.id, input=do(action, say("never mind")))
    returned, said = reply.messages[1:]
    assert returned.status == "error"
    assert expected in returned.tool_return
    assert said.content == "never mind"
    assert (
        client.agents.blocks.retrieve("human", agent_id=agent.id).value == "Nothing is known yet."
    )


def test_conversation_search_finds_what_was_said(client: Letta, agent: AgentState) -> None:
    client.agents.messages.create(agent.id, input='The "blue" house\nby the sea')
    search = call("conversation_search", query='"BLUE" house', roles=["user"])
    reply = client.agents.messages.create(agent.id, input=do(search, say("found")))
    assert '"message": "Showing 1 results:"' in reply.messages[1].tool_return
    assert "by the sea" in reply.messages[1].tool_return
    search = call(
        "conversation_search",
        query="100%",
        roles=["assistant"],
        start_date="2020-01-01",
        end_date="9999-12-31",
    )
    reply = client.agents.messages.create(agent.id, input=do(search, say("none")))
    assert '"results": []' in reply.messages[1].tool_return


def test_several_calls_of_one_step_all_run_in_order(client: Letta, agent: AgentState) -> None:
    calls = {
        "calls": [
            {
                "id": "same",
                "name": "memory_insert",
                "arguments": f'{{"label": "human", "new_string": "{n}"}}',
            }
            for n in range(3)
        ]
    }
    reply = client.agents.messages.create(agent.id, input=do(calls, say("done")))
    assert types_of(reply.messages) == [
        "tool_call_message",
        *["tool_return_message"] * 3,
        "assistant_message",
    ]
    assert reply.messages[3].tool_return == "Nothing is known yet.\n0\n1\n2"


def test_max_steps_ends_a_turn_that_never_would(client: Letta, agent: AgentState) -> None:
    forever = do(call("conversation_search", query="x"))
    reply = client.agents.messages.create(agent.id, input=forever, max_steps=3)
    assert reply.stop_reason.stop_reason == "max_steps"
    assert reply.usage.step_count == 3
    assert types_of(reply.messages) == ["tool_call_message", "tool_return_message"] * 3


@pytest.mark.parametrize(
    ("action", "status", "kind", "requests"),
    [
        ({"fail": 400}, 400, "llm_bad_request", 2),  # the second one more carefully
        ({"fail": 401}, 401, "llm_authentication", 1),
        ({"fail": 403}, 500, "llm_error", 1),
        ({"fail": 404}, 500, "llm_error", 1),
        ({"fail": 429}, 429, "llm_rate_limit", 3),
        ({"fail": 500}, 500, "llm_error", 4),  # the last one more carefully
        ({"say": ""}, 500, "llm_empty_response", 1),
    ],
)
def test_a_provider_error_has_v1s_shape_and_the_users_message_stays(
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    action: dict[str, object],
    status: int,
    kind: str,
    requests: int,
) -> None:
    text = do(action)
    before = provider.asked(text)
    with pytest.raises(APIStatusError) as failure:
        client.agents.messages.create(agent.id, input=text)
    assert failure.value.status_code == status
    assert failure.value.response.json()["error"].keys() == {"type", "message", "detail"}
    assert failure.value.response.json()["error"]["type"] == kind
    assert "sk-test" not in failure.value.response.text
    assert provider.asked(text) - before == requests
    history = client.agents.messages.list(agent.id).items
    assert types_of(history) == ["system_message", "user_message"]
    assert client.agents.messages.create(agent.id, input="hello").messages


def test_a_provider_that_recovers_is_asked_again(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    text = do({"fail": 503, "times": 2, "say": "back again"})
    assert client.agents.messages.create(agent.id, input=text).messages[0].content == "back again"
    assert provider.asked(text) == 3


def test_a_post_that_the_client_repeats_joins_the_run_that_exists(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    first = client.agents.messages.create(agent.id, input="only once, please")
    again = client.agents.messages.create(
        agent.id,
        input="only once, please",
        extra_headers={"x-stainless-retry-count": "1"},
    )
    assert again.to_dict() == first.to_dict()
    assert provider.asked("only once, please") == 1
    anew = client.agents.messages.create(agent.id, input="only once, please")
    assert anew.messages[0].id != first.messages[0].id


def test_the_same_words_long_after_are_a_new_message_even_in_a_repeated_post(
    client: Letta, server: Product, agent: AgentState
) -> None:
    first = client.agents.messages.create(agent.id, input="yes")
    server.query(
        "UPDATE runs SET completed_at = completed_at - interval '2 minutes' WHERE agent_id = %s",
        agent.id,
    )
    retried = client.agents.messages.create(
        agent.id, input="yes", extra_headers={"x-stainless-retry-count": "1"}
    )
    assert retried.messages[0].id != first.messages[0].id


def test_the_same_otid_is_the_same_message(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    message = {"role": "user", "content": "with an otid", "otid": "my-own-id"}
    first = client.agents.messages.create(agent.id, messages=[message])
    again = client.agents.messages.create(agent.id, messages=[message])
    assert again.to_dict() == first.to_dict()
    assert provider.asked("with an otid") == 1
    assert client.agents.messages.list(agent.id).items[1].otid == "my-own-id"


def test_messages_sent_at_once_are_answered_one_after_the_other(
    server: Product, agent: AgentState
) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        url = f"/v1/agents/{agent.id}/messages"
        assert http.post(url, json={"input": "warm up"}).status_code == 200

    def send(n: int) -> str:
        reply = httpx.post(f"{server.url}{url}", json={"input": f"number {n}"}, timeout=60)
        return str(reply.json()["messages"][0]["content"])

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(send, range(10))) == [f"You said: number {n}" for n in range(10)]
    rows = server.query("SELECT role FROM messages WHERE agent_id = %s ORDER BY position", agent.id)
    assert [role for (role,) in rows] == ["system", *["user", "assistant"] * 11]
