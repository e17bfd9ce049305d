"""The tools that edit memory, with V1's arguments and results, through the official client."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say

VALUE = "Name: Ada\nCity: Paris"
ALL_TOOLS = ["memory_insert", "memory_replace", "memory_rethink", "memory_finish_edits"]
Use = Callable[..., tuple[str, str]]


@pytest.fixture
def keeper(client: Letta) -> AgentState:
    """An agent of the legacy loop with every memory tool."""
    return client.agents.create(
        agent_type="memgpt_agent",
        model=HANDLE,
        memory_blocks=[
            {"label": "human", "value": VALUE},
            {"label": "rules", "value": "Be kind.", "read_only": True},
        ],
        tools=ALL_TOOLS,
    )


@pytest.fixture
def use(client: Letta, keeper: AgentState) -> Use:
    """Has the agent call a tool; gives status and text of its return."""

    def use_tool(name: str, **arguments: Any) -> tuple[str, str]:
        reply: Any = client.agents.messages.create(
            keeper.id, input=do(call(name, thinking="Hm.", **arguments), say("done"))
        )
        (returned,) = (m for m in reply.messages if m.message_type == "tool_return_message")
        return returned.status, returned.tool_return

    return use_tool


def value_of(client: Letta, agent: AgentState, label: str) -> str:
    return client.agents.blocks.retrieve(label, agent_id=agent.id).value


def labels_of(client: Letta, agent: AgentState) -> list[str]:
    return sorted(str(block.label) for block in client.agents.blocks.list(agent.id))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("core_memory_append", {"content": "Cat: Bo"}, f"{VALUE}\nCat: Bo"),
        (
            "core_memory_replace",
            {"old_content": "a", "new_content": "o"},
            VALUE.replace("a", "o"),
        ),
        ("memory_insert", {"new_string": "Top", "insert_line": 0}, f"Top\n{VALUE}"),
        (
            "memory_replace",
            {"old_string": "Paris", "new_string": "Rome"},
            VALUE.replace("Paris", "Rome"),
        ),
        # A model with a strict schema names every argument, and one that it leaves out is null.
        ("memory_insert", {"new_string": "End", "insert_line": None}, f"{VALUE}\nEnd"),
        ("memory_insert", {"new_string": "Top", "insert_line": "0"}, f"Top\n{VALUE}"),
        ("memory_rethink", {"new_memory": "All new"}, "All new"),
        (
            "memory_apply_patch",
            {"patch": "@@\n Name: Ada\n-City: Paris\n+City: Oslo"},
            "Name: Ada\nCity: Oslo",
        ),
    ],
)
def test_an_edit_returns_the_blocks_full_new_value(
    client: Letta, keeper: AgentState, use: Use, name: str, arguments: dict[str, Any], expected: str
) -> None:
    assert use(name, label="human", **arguments) == ("success", expected)
    assert value_of(client, keeper, "human") == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("core_memory_append", {"content": "x"}),
        ("core_memory_replace", {"old_content": "Be", "new_content": "x"}),
        ("memory_insert", {"new_string": "x"}),
        ("memory_replace", {"old_string": "Be", "new_string": "x"}),
        ("memory_rethink", {"new_memory": "x"}),
        ("memory_apply_patch", {"patch": "-Be kind."}),
        ("memory_apply_patch", {"patch": "*** Delete Block: rules"}),
        ("memory", {"command": "str_replace", "path": "/memories/rules", "old_string": "Be"}),
        ("memory", {"command": "insert", "path": "/memories/rules", "insert_text": "x"}),
        ("memory", {"command": "delete", "path": "/memories/rules"}),
        (
            "memory",
            {"command": "rename", "old_path": "/memories/rules", "new_path": "/memories/other"},
        ),
    ],
)
def test_a_read_only_block_is_refused_in_v1s_words(
    client: Letta, keeper: AgentState, use: Use, name: str, arguments: dict[str, Any]
) -> None:
    refused = ("error", "Error This block is read-only and cannot be edited.")
    assert use(name, label="rules", **arguments) == refused
    assert value_of(client, keeper, "rules") == "Be kind."


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("core_memory_append", {"content": "3→ x"}),
        ("core_memory_replace", {"old_content": "1→ Name", "new_content": "x"}),
        ("memory_insert", {"new_string": "3→ x"}),
        ("memory_replace", {"old_string": "1→ Name", "new_string": "x"}),
        ("memory_rethink", {"new_memory": "1→ Name\n2→ City"}),
        ("memory_apply_patch", {"patch": "-1→ Name: Ada"}),
        ("memory", {"command": "create", "path": "/memories/x", "file_text": "1→ x"}),
    ],
)
def test_line_numbers_of_the_display_are_refused(
    client: Letta, keeper: AgentState, use: Use, name: str, arguments: dict[str, Any]
) -> None:
    status, text = use(name, label="human", **arguments)
    assert status == "error"
    assert "line numbers" in text
    assert value_of(client, keeper, "human") == VALUE
    assert labels_of(client, keeper) == ["human", "rules"]


def test_rethinking_a_block_that_is_not_there_creates_it(
    client: Letta, keeper: AgentState, use: Use, provider: FakeProvider
) -> None:
    assert use("memory_rethink", label="plans", new_memory="Sail.") == ("success", "Sail.")
    assert value_of(client, keeper, "plans") == "Sail."
    client.agents.messages.create(keeper.id, input="next")
    assert "<plans>" in provider.prompts[-1][0]["content"]


def test_the_memory_tool_creates_edits_renames_and_deletes(
    client: Letta, server: Product, keeper: AgentState, use: Use
) -> None:
    status, text = use(
        "memory",
        command="create",
        path="/memories/plans",
        file_text="Sail.\nSwim.",
        description="What is to come.",
    )
    assert status == "success"
    assert text.startswith(
        "Successfully created memory block 'plans'. Your system prompt has been recompiled"
    )
    block = client.agents.blocks.retrieve("plans", agent_id=keeper.id)
    assert (block.value, block.description) == ("Sail.\nSwim.", "What is to come.")
    edits: list[dict[str, Any]] = [
        {"command": "str_replace", "old_string": "Swim", "new_string": "Run"},
        {"command": "insert", "insert_line": 1, "insert_text": "Rest."},
    ]
    for edit in edits:
        status, text = use("memory", path="/memories/plans", **edit)
    assert text == "Sail.\nRest.\nRun."
    assert server.query("SELECT version FROM blocks WHERE id = %s", block.id) == [(3,)]
    status, text = use(
        "memory", command="rename", old_path="/memories/plans", new_path="/memories/ideas"
    )
    assert text.startswith("Successfully renamed memory block 'plans' to 'ideas'.")
    assert labels_of(client, keeper) == ["human", "ideas", "rules"]
    use("memory", command="rename", path="/memories/ideas", description="Ideas.")
    assert client.agents.blocks.retrieve("ideas", agent_id=keeper.id).description == "Ideas."
    status, text = use("memory", command="delete", path="/memories/ideas")
    assert text.startswith("Successfully deleted memory block 'ideas'.")
    assert labels_of(client, keeper) == ["human", "rules"]
    assert server.query("SELECT value FROM blocks WHERE id = %s", block.id) == [
        ("Sail.\nRest.\nRun.",)
    ]


@pytest.mark.parametrize(
    "path", ["human", "/human", "memories/human", "/memories/human/", " /memories/human"]
)
def test_a_path_may_be_less_than_exact(
    client: Letta, keeper: AgentState, use: Use, path: str
) -> None:
    edit = {"command": "str_replace", "path": path, "old_string": "Paris", "new_string": "Rome"}
    nothing = dict.fromkeys(["file_text", "description", "insert_line", "insert_text", "new_path"])
    assert use("memory", **edit, **nothing) == ("success", VALUE.replace("Paris", "Rome"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"command": "create", "path": "/memories/human"}, "already"),
        ({"command": "delete", "path": "/memorieshuman"}, "no memory block"),
        ({"command": "create", "path": "memories"}, "must be /memories/<label>"),
        ({"command": "create", "path": "/memories/"}, "must be /memories/<label>"),
        ({"command": "create"}, "needs the argument path"),
        ({"command": "delete", "path": "/memories/nobody"}, "no memory block"),
        ({"command": "rename", "old_path": "human"}, "needs the argument new_path"),
        ({"command": "rename", "old_path": "human", "new_path": "rules"}, "already"),
        ({"command": "rename", "old_path": "human", "new_path": "x" * 201}, "1 to 200"),
        ({"command": "str_replace", "path": "human"}, "needs the argument old_string"),
        ({"command": "insert", "path": "human"}, "needs the argument insert_text"),
        ({"command": "view", "path": "human"}, "do not fit: command"),
    ],
)
def test_a_memory_command_that_cannot_be_is_an_error_return(
    client: Letta, keeper: AgentState, use: Use, arguments: dict[str, Any], problem: str
) -> None:
    status, text = use("memory", **arguments)
    assert status == "error"
    assert problem in text
    assert labels_of(client, keeper) == ["human", "rules"]
    assert value_of(client, keeper, "human") == VALUE


def test_a_patch_of_several_blocks_happens_whole(
    client: Letta, keeper: AgentState, use: Use
) -> None:
    patch = (
        "*** Add Block: plans\n+Sail.\n*** Update Block: human\n*** Move to: person\n"
        "-City: Paris\n+City: Rome"
    )
    status, text = use("memory_apply_patch", label="human", patch=patch)
    assert (status, text) == (
        "success",
        "Created memory block 'plans':\nSail.\n\nName: Ada\nCity: Rome",
    )
    assert labels_of(client, keeper) == ["person", "plans", "rules"]
    assert value_of(client, keeper, "person") == "Name: Ada\nCity: Rome"


def test_a_patch_that_fails_in_its_middle_changes_nothing(
    client: Letta, keeper: AgentState, use: Use
) -> None:
    patch = "*** Update Block: human\n-City: Paris\n*** Delete Block: nobody"
    status, text = use("memory_apply_patch", label="human", patch=patch)
    assert status == "error"
    assert "no memory block" in text
    assert value_of(client, keeper, "human") == VALUE


def test_a_shared_block_is_renamed_for_all_unless_one_has_the_label(
    client: Letta, server: Product, keeper: AgentState, use: Use
) -> None:
    other = client.agents.create(model=HANDLE, memory_blocks=[{"label": "taken", "value": "x"}])
    human = client.agents.blocks.retrieve("human", agent_id=keeper.id)
    server.query(
        "INSERT INTO agent_blocks (agent_id, block_id, label, position) VALUES (%s, %s, %s, 1)",
        other.id,
        human.id,
        "human",
    )
    status, text = use("memory", command="rename", old_path="human", new_path="taken")
    assert (status, "already" in text) == ("error", True)
    use("memory", command="rename", old_path="human", new_path="person")
    assert labels_of(client, other) == ["person", "taken"]


def test_a_sleeptime_agent_ends_its_turn_by_finishing_its_edits(
    client: Letta, provider: FakeProvider
) -> None:
    sleeper = client.agents.create(
        agent_type="sleeptime_agent",
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": VALUE}],
    )
    edit = call("memory_rethink", label="human", new_memory="Ada lives in Rome.")
    text = do(edit, call("memory_finish_edits"), say("never said"))
    reply: Any = client.agents.messages.create(sleeper.id, input=text)
    assert [m.message_type for m in reply.messages] == [
        "tool_call_message",
        "tool_return_message",
    ] * 2
    assert reply.stop_reason.stop_reason == "tool_rule"
    assert reply.messages[3].tool_return == "None"
    assert value_of(client, sleeper, "human") == "Ada lives in Rome."
    assert "tool_choice" not in json.dumps(provider.prompts[-1])


@pytest.mark.parametrize("agent_type", ["react_agent", "workflow_agent"])
def test_react_and_workflow_agents_run_the_v1_loop_without_blocks_in_their_prompt(
    client: Letta, provider: FakeProvider, agent_type: Any
) -> None:
    agent = client.agents.create(
        agent_type=agent_type,
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "A secret."}],
        tools=["conversation_search"],
    )
    search = call("conversation_search", query="first message")
    client.agents.messages.create(agent.id, input="the first message")
    reply: Any = client.agents.messages.create(agent.id, input=do(search, say("done")))
    assert "the first message" in reply.messages[1].tool_return
    assert reply.messages[2].content == "done"
    prompt = provider.prompts[-1]
    assert "A secret." not in prompt[0]["content"]
    assert "<memory_metadata>" in prompt[0]["content"]
    remembers = any(m.get("content") == "the first message" for m in prompt)
    assert remembers is (agent_type == "react_agent")
