"""The tools of an agent through the official client: list, attach, detach, approval, run."""

import json

import httpx
import pytest
from letta_client import APIStatusError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say


def names(client: Letta, agent_id: str, **options: object) -> list[str | None]:
    return [tool.name for tool in client.agents.tools.list(agent_id, **options).items]  # type: ignore[arg-type]


def test_an_agents_tools_are_listed_in_both_orders_and_in_pages(
    client: Letta, agent: AgentState
) -> None:
    ascending = ["conversation_search", "memory_insert", "memory_replace"]
    assert names(client, agent.id, order="asc") == ascending
    assert names(client, agent.id) == ascending[::-1]
    paged = [tool.name for tool in client.agents.tools.list(agent.id, order="asc", limit=1)]
    assert paged == ascending


def test_a_tool_that_is_attached_is_the_models_until_it_is_detached(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    other = client.agents.create(model=HANDLE, agent_type="sleeptime_agent")
    (rethink,) = [t for t in client.agents.tools.list(other.id) if t.name == "memory_rethink"]
    text = do(call("memory_rethink", label="human", new_memory="anew"), say("done"))

    def value() -> str:
        client.agents.messages.create(agent.id, input=text)
        return client.agents.blocks.retrieve("human", agent_id=agent.id).value

    before = value()
    assert before != "anew", "the agent has no such tool"
    for _ in range(2):  # the second time, nothing changes
        state = client.agents.tools.attach(rethink.id, agent_id=agent.id)
        assert state is not None
        assert [tool.name for tool in state.tools].count("memory_rethink") == 1
    assert value() == "anew"
    client.agents.blocks.update("human", agent_id=agent.id, value=before)
    for _ in range(2):
        state = client.agents.tools.detach(rethink.id, agent_id=agent.id)
        assert state is not None
        assert "memory_rethink" not in [tool.name for tool in state.tools]
    assert value() == before


def test_a_tool_or_an_agent_that_is_not_there_is_not_found(
    client: Letta, agent: AgentState
) -> None:
    known = client.agents.tools.list(agent.id).items[0].id
    for agent_id, tool_id in ((agent.id, new_id("tool")), (new_id("agent"), known)):
        for act in (client.agents.tools.attach, client.agents.tools.detach):
            with pytest.raises(APIStatusError) as failure:
                act(tool_id, agent_id=agent_id)
            assert failure.value.status_code == 404


def rules_of(client: Letta, agent_id: str, name: str) -> list[str]:
    rules = client.agents.retrieve(agent_id).tool_rules or []
    return [str(rule.type) for rule in rules if rule.tool_name == name]


def test_a_tool_is_made_to_wait_for_approval_and_not_to(client: Letta, agent: AgentState) -> None:
    for _ in range(2):  # the second time, nothing changes
        state = client.agents.tools.update_approval(
            "memory_insert", agent_id=agent.id, body_requires_approval=True
        )
        assert state is not None
        assert rules_of(client, agent.id, "memory_insert") == ["requires_approval"]
        assert rules_of(client, agent.id, "memory_replace") == []
    for _ in range(2):
        client.agents.tools.update_approval(
            "memory_insert", agent_id=agent.id, body_requires_approval=False
        )
        assert rules_of(client, agent.id, "memory_insert") == []


def test_approval_is_set_by_the_deprecated_query_too_but_not_by_nothing(
    server: Product, client: Letta, agent: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/tools/approval/memory_insert"
    assert httpx.patch(url, params={"requires_approval": True}).status_code == 200
    assert rules_of(client, agent.id, "memory_insert") == ["requires_approval"]
    assert httpx.patch(url).status_code == 422
    assert httpx.patch(url, json={"requires_approval": None}).status_code == 422


def test_approval_is_set_by_the_name_that_the_typescript_client_sends(
    server: Product, client: Letta, agent: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/tools/approval/memory_insert"
    assert httpx.patch(url, json={"body_requires_approval": True}).status_code == 200
    assert rules_of(client, agent.id, "memory_insert") == ["requires_approval"]
    assert httpx.patch(url, json={"body_requires_approval": False}).status_code == 200
    assert rules_of(client, agent.id, "memory_insert") == []


def test_other_rules_of_a_tool_stay_when_its_approval_is_taken_away(client: Letta) -> None:
    given = client.agents.create(
        model=HANDLE,
        tool_rules=[
            {"type": "requires_approval", "tool_name": "memory_insert"},
            {"type": "exit_loop", "tool_name": "memory_insert"},
        ],
    )
    client.agents.tools.update_approval(
        "memory_insert", agent_id=given.id, body_requires_approval=False
    )
    assert rules_of(client, given.id, "memory_insert") == ["exit_loop"]


def test_approval_of_a_tool_that_the_agent_does_not_have_is_not_found(
    client: Letta, agent: AgentState
) -> None:
    for name in ("memory_rethink", "nothing"):
        with pytest.raises(NotFoundError):
            client.agents.tools.update_approval(
                name, agent_id=agent.id, body_requires_approval=True
            )


def test_a_tool_runs_outside_a_turn_and_leaves_no_message(client: Letta, agent: AgentState) -> None:
    before = client.agents.messages.list(agent.id).items
    ran = client.agents.tools.run(
        "memory_insert", agent_id=agent.id, args={"label": "human", "new_string": "Likes tea."}
    )
    assert (ran.status, ran.stderr) == ("success", None)
    assert "Likes tea." in client.agents.blocks.retrieve("human", agent_id=agent.id).value
    assert "Likes tea." in str(ran.func_return)
    assert [m.id for m in client.agents.messages.list(agent.id).items] == [m.id for m in before]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({}, "do not fit"), ({"label": "nothing", "new_string": "x"}, "nothing")],
)
def test_a_tool_that_fails_outside_a_turn_says_why(
    client: Letta, agent: AgentState, arguments: dict[str, object], told: str
) -> None:
    ran = client.agents.tools.run("memory_insert", agent_id=agent.id, args=arguments)
    assert (ran.status, ran.func_return) == ("error", None)
    assert ran.stderr is not None
    assert told in ran.stderr[0]


def test_a_tool_that_the_agent_does_not_have_does_not_run(client: Letta, agent: AgentState) -> None:
    for name in ("memory_rethink", "nothing"):
        with pytest.raises(NotFoundError):
            client.agents.tools.run(name, agent_id=agent.id, args={})


def test_the_tools_of_the_web_can_be_had_and_read_a_page(
    client: Letta, provider: FakeProvider
) -> None:
    names_of_web = ["web_search", "fetch_webpage"]
    browsing = client.agents.create(model=HANDLE, tools=names_of_web, include_base_tools=False)
    assert browsing.tool_rules == []
    listed = client.agents.tools.list(browsing.id, order="asc").items
    assert [(tool.name, tool.tool_type) for tool in listed] == [
        (name, "letta_builtin") for name in names_of_web
    ]
    assert all(
        set(tool.json_schema or {}) == {"name", "description", "parameters"} for tool in listed
    )
    text = do(
        call("web_search", query="ada", num_results=3),
        call("fetch_webpage", url=f"{provider.url}/models"),
        call("fetch_webpage", url="http://127.0.0.2:1/"),
        say("done"),
    )
    reply = client.agents.messages.create(browsing.id, input=text)
    returns = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert [(one.name, one.status) for one in returns] == [
        ("web_search", "error"),
        ("fetch_webpage", "success"),
        ("fetch_webpage", "error"),
    ]
    assert "no provider of web searches" in returns[0].tool_return
    assert '"object":"list"' in returns[1].tool_return
    assert "not public" in returns[2].tool_return
    assert not provider.problems


def test_tools_that_a_worker_runs_are_run_by_themselves_too(
    client: Letta, provider: FakeProvider
) -> None:
    names = ["fetch_webpage", "web_search", "send_message_to_agent_async"]
    agent = client.agents.create(model=HANDLE, tools=names, include_base_tools=False)
    other = client.agents.create(model=HANDLE, include_base_tools=False)

    def run(name: str, **arguments: object) -> str:
        return str(client.agents.tools.run(name, agent_id=agent.id, args=arguments).func_return)

    assert '"object":"list"' in run("fetch_webpage", url=f"{provider.url}/models")
    assert "not public" in run("fetch_webpage", url="http://127.0.0.2:1/")
    assert "no provider of web searches" in run("web_search", query="ada")
    sent = run("send_message_to_agent_async", message="hello", other_agent_id=other.id)
    assert f"The message to agent {other.id} was sent" in sent


def test_code_is_run_and_answered_in_the_form_of_v1(client: Letta, server: Product) -> None:
    coding = client.agents.create(model=HANDLE, tools=["run_code"], include_base_tools=False)
    text = do(
        call("run_code", code="print('hi')\n6 * 7", language="python"),
        call("run_code", code="6 * 7", language="js"),
        say("done"),
    )
    reply = client.agents.messages.create(coding.id, input=text)
    ran, refused = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert "runs Python, and no js" in refused.tool_return
    if ran.status == "error":
        assert "The code was not run" in ran.tool_return
        pytest.skip("there is no sandbox here")
    assert json.loads(ran.tool_return) == {
        "results": ["42"],
        "logs": {"stdout": ["hi\n"], "stderr": []},
    }
