"""Tools that users write, called in turns and by themselves, through the official client."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say, together

Make = Callable[..., str]


@pytest.fixture
def make(client: Letta, agent: AgentState) -> Make:
    """Makes a tool of a source and gives it to the agent; answers its id."""

    def made(source: str, **fields: Any) -> str:
        tool = client.tools.upsert(source_code=source, **fields)
        client.agents.tools.attach(tool.id, agent_id=agent.id)
        return str(tool.id)

    return made


def tool(name: str, body: str, parameters: str = "") -> str:
    """The source of a tool; the lines of its body are separated by `;`."""
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    described = [one.partition(":")[0].strip() for one in parameters.split(",") if one]
    told = "".join(f"        {one}: What to take.\n" for one in described if one != "agent_state")
    doc = f'    """Do it.\n\n    Args:\n{told}    """\n' if told else '    """Do it."""\n'
    return f"def {name}({parameters}):\n{doc}{lines}"


def returned(client: Letta, agent: AgentState, *actions: Any) -> list[Any]:
    """Have the provider take these actions, then end; what the calls returned, in order."""
    reply = client.agents.messages.create(agent.id, input=do(*actions, say("done")))
    return [one for one in reply.messages if one.message_type == "tool_return_message"]


RESULTS = {
    "text": ("return 'it is ' + text", {"text": "ü"}, "success", "it is ü"),
    "json": ("return {'a': [1, None]}", {}, "success", '{"a": [1, null]}'),
    "none": ("pass", {}, "success", "None"),
    "raised": (
        "raise ValueError('no such town')",
        {},
        "error",
        "Error executing function t_raised: ValueError: no such town",
    ),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_a_turn_goes_on_with_what_a_custom_tool_returned(
    client: Letta, agent: AgentState, make: Make, kind: str
) -> None:
    body, arguments, status, content = RESULTS[kind]
    make(tool(f"t_{kind}", f"print('printed'); {body}", ", ".join(f"{n}: str" for n in arguments)))
    (shown,) = returned(client, agent, call(f"t_{kind}", **arguments))
    assert (shown.status, shown.tool_return) == (status, content)
    assert "".join(shown.stdout) == "printed\n"
    if status == "error":
        assert "no such town" in "".join(shown.stderr)


def test_a_tool_sees_its_agent_and_none_of_the_servers_environment(
    client: Letta, agent: AgentState, make: Make, server: Product
) -> None:
    tool_id = make(tool("look", "import os; return dict(os.environ)"))
    (shown,) = returned(client, agent, call("look"))
    seen = json.loads(shown.tool_return)
    assert (seen["LETTA_AGENT_ID"], seen["LETTA_TOOL_ID"]) == (agent.id, tool_id)
    assert not {"OPENAI_API_KEY", "O_DATABASE_URL", "DATABASE_URL"} & seen.keys()
    assert "sk-test" not in shown.tool_return


def test_a_tool_edits_the_agents_blocks(client: Letta, agent: AgentState, make: Make) -> None:
    edit = "agent_state.memory.update_block_value(label, 'Ada, ' + agent_state.id); return 'kept'"
    make(tool("keep", edit, "agent_state, label: str"))
    kept, refused = returned(
        client, agent, call("keep", label="human"), call("keep", label="nothing")
    )
    assert (kept.status, kept.tool_return) == ("success", "kept")
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == f"Ada, {agent.id}"
    assert (refused.status, "no block" in refused.tool_return) == ("error", True)


def test_a_block_that_was_changed_meanwhile_stays(
    client: Letta, agent: AgentState, make: Make, server: Product
) -> None:
    edit = "import time; agent_state.memory.update_block_value('human', 'mine'); time.sleep(1.5)"
    make(tool("slow_edit", edit + "; return 'done'", "agent_state"))
    run = client.agents.messages.create_async(agent.id, input=do(call("slow_edit"), say("ok")))
    eventually(
        lambda: server.query(
            "SELECT 1 FROM tool_starts JOIN steps ON steps.id = step_id WHERE run_id = %s", run.id
        ),
        what="the start of the tool",
    )
    client.agents.blocks.update("human", agent_id=agent.id, value="theirs")
    shown = _return_of(client, run.id)
    assert shown.tool_return.startswith("done\n[Memory block 'human' was not changed:")
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "theirs"


def _return_of(client: Letta, run_id: str) -> Any:
    eventually(
        lambda: client.runs.retrieve(run_id).status not in ("created", "running"), what="its end"
    )
    found = client.runs.messages.list(run_id)
    return next(one for one in found if one.message_type == "tool_return_message")


def test_a_long_return_is_cut_where_the_tool_says(
    client: Letta, agent: AgentState, make: Make, provider: FakeProvider
) -> None:
    make(tool("talk", "return 'x' * 9000"), return_char_limit=100)
    (shown,) = returned(client, agent, call("talk"))
    assert shown.tool_return.startswith("x" * 100 + "... [NOTE: function output was truncated")
    assert len(shown.tool_return) < 300


def test_a_call_that_cannot_be_read_is_not_made(
    client: Letta, agent: AgentState, make: Make, server: Product
) -> None:
    make(tool("plain", "return 1"))
    broken = {"calls": [{"name": "plain", "arguments": '{"a": '}]}
    (shown,) = returned(client, agent, broken)
    assert (shown.status, "Nothing was done" in shown.tool_return) == ("error", True)


def test_a_tool_is_as_it_is_when_it_is_called(client: Letta, agent: AgentState, make: Make) -> None:
    tool_id = make(tool("version", "return 1"))
    assert [one.tool_return for one in returned(client, agent, call("version"))] == ["1"]
    client.tools.update(tool_id, source_code=tool("version", "return 2"))
    assert [one.tool_return for one in returned(client, agent, call("version"))] == ["2"]
    client.tools.delete(tool_id)
    (gone,) = returned(client, agent, call("version"))
    assert (gone.status, "Cannot call version" in gone.tool_return) == ("error", True)


def test_a_tool_that_is_deleted_while_it_runs_returns(
    client: Letta, agent: AgentState, make: Make, server: Product
) -> None:
    tool_id = make(tool("short_lived", "import time; time.sleep(1); return 'was there'"))
    run = client.agents.messages.create_async(agent.id, input=do(call("short_lived"), say("ok")))
    eventually(lambda: _is_started(server, run.id), what="the start of the tool")
    client.tools.delete(tool_id)
    assert _return_of(client, run.id).tool_return == "was there"


def _is_started(server: Product, run_id: str) -> bool:
    return bool(
        server.query(
            "SELECT 1 FROM tool_starts JOIN steps ON steps.id = step_id WHERE run_id = %s", run_id
        )
    )


def test_cancelling_a_run_ends_its_tool(
    client: Letta, agent: AgentState, make: Make, server: Product
) -> None:
    make(tool("endless", "import time; time.sleep(50); return 'never'"))
    run = client.agents.messages.create_async(agent.id, input=do(call("endless"), say("ok")))
    eventually(lambda: _is_started(server, run.id), what="the start of the tool")
    client.agents.messages.cancel(agent.id, run_ids=[run.id])
    shown = _return_of(client, run.id)
    assert (shown.status, "may have run" in shown.tool_return) == ("error", True)
    assert returned(client, agent) == []


def test_tools_that_say_so_run_beside_one_another(client: Letta, make: Make) -> None:
    source = tool("wait", "import time; time.sleep(1); return time.time()")
    made = client.tools.upsert(source_code=source, enable_parallel_execution=True)
    settings: Any = {"provider_type": "openai", "parallel_tool_calls": True}
    agent = client.agents.create(model=HANDLE, model_settings=settings, tool_ids=[made.id])
    first, second = returned(client, agent, together(call("wait"), call("wait")))
    assert abs(float(first.tool_return) - float(second.tool_return)) < 0.9


def test_a_tool_that_wants_approval_by_default_waits_for_it(
    client: Letta, agent: AgentState, make: Make
) -> None:
    make(tool("careful", "return 'made'"), default_requires_approval=True)
    asked = client.agents.messages.create(agent.id, input=do(call("careful"), say("ok")))
    request = asked.messages[-1]
    assert request.message_type == "approval_request_message"
    answer: Any = {
        "type": "approval",
        "approvals": [
            {"type": "approval", "approve": True, "tool_call_id": request.tool_call.tool_call_id}
        ],
    }
    reply = client.agents.messages.create(agent.id, messages=[answer])
    made = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert [one.tool_return for one in made] == ["made"]


def test_a_custom_tool_is_run_for_an_agent_by_itself(
    client: Letta, agent: AgentState, make: Make
) -> None:
    edit = "agent_state.memory.update_block_value('human', text); print('hm'); return text.upper()"
    make(tool("shout", edit, "agent_state, text: str"))
    ran = client.agents.tools.run("shout", agent_id=agent.id, args={"text": "hello"})
    assert (ran.status, ran.func_return, ran.stdout) == ("success", "HELLO", ["hm\n"])
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "hello"
    make(tool("look_up_nothing", "raise KeyError('x')"))
    failed = client.agents.tools.run("look_up_nothing", agent_id=agent.id, args={})
    assert failed.status == "error"
    assert failed.func_return == "Error executing function look_up_nothing: KeyError: 'x'"


def test_a_source_is_run_without_being_stored(client: Letta) -> None:
    source = "import os\n" + tool("adds", "print('hm'); return a + 1, os.environ['T']", "a: int")
    body: Any = {"source_code": source, "args": {"a": 1}, "env_vars": {"T": "a-token-of-mine"}}
    ran: Any = client.post("/v1/tools/run", cast_to=object, body=body)
    assert (ran["status"], ran["stdout"]) == ("success", ["hm\n"])
    assert ran["tool_return"] == '[2, "[secret T]"]'
    assert client.tools.list(name="adds").items == []


def test_typescript_is_stored_and_refused_to_run(
    client: Letta, agent: AgentState, make: Make
) -> None:
    schema = {"name": "in_ts", "description": "Do it.", "parameters": {"type": "object"}}
    made: Any = client.put(
        "/v1/tools/",
        cast_to=object,
        body={"source_code": "export {}", "source_type": "typescript", "json_schema": schema},
    )
    client.agents.tools.attach(made["id"], agent_id=agent.id)
    (shown,) = returned(client, agent, call("in_ts"))
    assert (shown.status, "typescript" in shown.tool_return) == ("error", True)
