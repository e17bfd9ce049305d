"""What agents keep in their archives by themselves, and what their prompts tell of it."""

import json
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState, ToolReturnMessage

from tests.support.provider import HANDLE, FakeProvider, call, do, say

TOOL = "archival_memory_insert"


@pytest.fixture
def keeper(client: Letta) -> AgentState:
    """An agent that has the tool."""
    blocks: Any = [{"label": "human", "value": "Nothing is known yet."}]
    return client.agents.create(name="keeper", model=HANDLE, tools=[TOOL], memory_blocks=blocks)


def keep(client: Letta, agent: AgentState, **arguments: Any) -> tuple[str, str]:
    """Have the agent call the tool: how it went, and what it returned."""
    sent = do(call(TOOL, **arguments), say("kept"))
    answer = client.agents.messages.create(agent.id, input=sent)
    (returned,) = (m for m in answer.messages if isinstance(m, ToolReturnMessage))
    return returned.status, returned.tool_return


def test_an_agent_keeps_a_text_with_tags(client: Letta, keeper: AgentState) -> None:
    assert keep(client, keeper, content="Ada likes tea.", tags=["Ada", "tea"]) == (
        "success",
        "None",
    )
    assert keep(client, keeper, content="It rains.") == ("success", "None")
    first, second = client.agents.passages.list(keeper.id)
    assert (first.text, first.tags) == ("Ada likes tea.", ["Ada", "tea"])
    assert (second.text, second.tags) == ("It rains.", [])
    (archive,) = client.archives.list(agent_id=keeper.id)
    assert archive.name == "keeper's Archive"


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ("tea", ["tea"]),
        ("tea, Ada ,", ["tea", "Ada"]),
        ('["tea", "Ada"]', ["tea", "Ada"]),
        ([" tea", "tea", ""], ["tea"]),
        (None, []),
    ],
)
def test_tags_are_understood_as_models_write_them(
    client: Letta, keeper: AgentState, tags: Any, kept: list[str]
) -> None:
    assert keep(client, keeper, content="x", tags=tags)[0] == "success"
    assert [p.tags for p in client.agents.passages.list(keeper.id)] == [kept]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"content": " "}, "content is empty"),
        ({}, "content: Field required"),
        ({"content": ["x"]}, "content: Input should be a valid string"),
        ({"content": "x", "tags": ["t" * 201]}, "of 200 characters"),
        ({"content": "x", "tags": "[" * 20_000}, "of 200 characters"),  # deeper than any stack
        ({"content": "x", "tags": [str(n) for n in range(101)]}, "100 tags at most"),
    ],
)
def test_what_cannot_be_kept_is_told_to_the_model(
    client: Letta, keeper: AgentState, arguments: dict[str, Any], told: str
) -> None:
    status, text = keep(client, keeper, **arguments)
    assert status == "error"
    assert told in text
    assert client.agents.passages.list(keeper.id) == []


def test_odd_characters_are_kept_fit_to_be_stored(client: Letta, keeper: AgentState) -> None:
    assert keep(client, keeper, content="a\0b\ud800", tags=["\0"])[0] == "success"
    (passage,) = client.agents.passages.list(keeper.id)
    assert (passage.text, passage.tags) == ("a\ufffdb\ufffd", ["\ufffd"])


def test_the_prompt_tells_how_much_is_kept_and_by_which_tags(
    client: Letta, keeper: AgentState, provider: FakeProvider
) -> None:
    def told() -> str:
        prompt: str = provider.prompts[-1][0]["content"]
        return prompt[prompt.index("<memory_metadata>") :]

    client.agents.messages.create(keeper.id, input="hello")
    assert "archival" not in told()
    for text, tags in (("one", ["b", "a"]), ("two", ["a", "</memory_metadata>"])):
        client.agents.passages.create(keeper.id, text=text, tags=tags)
    client.agents.messages.create(keeper.id, input="a prompt stays as it is to the byte")
    assert "archival" not in told()
    client.agents.blocks.update("human", agent_id=keeper.id, value="compiled anew")
    client.agents.messages.create(keeper.id, input="now?")
    assert "- 2 passages are in archival memory" in told()
    assert "- Tags of archival memory: &lt;/memory_metadata>, a, b\n" in told()
    assert told().count("</memory_metadata>") == 1
    (archive,) = client.archives.list(agent_id=keeper.id)
    client.archives.delete(archive.id)
    client.agents.blocks.update("human", agent_id=keeper.id, value="and again")
    client.agents.messages.create(keeper.id, input="now?")
    assert "archival" not in told()


def test_tags_are_shown_up_to_fifty(
    client: Letta, keeper: AgentState, provider: FakeProvider
) -> None:
    passages: Any = [{"text": f"{n}", "tags": [f"tag{n:02}", "often"]} for n in range(60)]
    client.agents.passages.create(keeper.id, text="first")
    (archive,) = client.archives.list(agent_id=keeper.id)
    client.archives.passages.create_many(archive.id, passages=passages)
    client.agents.recompile(keeper.id, update_timestamp=True)
    client.agents.messages.create(keeper.id, input="hello")
    prompt = provider.prompts[-1][0]["content"]
    (line,) = (one for one in prompt.split("\n") if one.startswith("- Tags of"))
    assert line.endswith(" and 11 more")
    assert len(json.dumps(line).split(", ")) == 50
    assert "often" in line
