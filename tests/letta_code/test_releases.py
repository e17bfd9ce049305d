"""Releases of the Letta Code CLI work with a server as `o up` starts it: no key, no Redis."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta

from tests.letta_code.cli import RELEASES, LettaCode
from tests.support.product import Product
from tests.support.provider import FakeProvider, Prompt, call, do, say

_TALKS_IN_THE_AGENTS_OWN_THREAD = "0.15.2"  # later releases open a conversation for each run


@pytest.fixture(scope="module", params=RELEASES)
def letta_code(
    request: pytest.FixtureRequest, server: Product, tmp_path_factory: pytest.TempPathFactory
) -> LettaCode:
    return LettaCode(request.param, server.url, tmp_path_factory.mktemp("letta-code"))


@pytest.fixture(scope="module")
def first(letta_code: LettaCode, provider: FakeProvider) -> dict[str, Any]:
    """What the first run answered, which made the agent."""
    return letta_code.ask(do(say("I am at your service.")), "--new-agent")


@pytest.fixture(autouse=True)
def _all_is_in_order(server: Product, provider: FakeProvider) -> Iterator[None]:
    """After each command: no run is open, and the provider was asked nothing improper."""
    yield
    assert not provider.problems
    assert server.query("SELECT id FROM runs WHERE status IN ('created', 'running')") == []


def prompts_since(provider: FakeProvider, count: int) -> list[Prompt]:
    return provider.prompts[count:]


def test_it_is_the_release_that_is_meant(letta_code: LettaCode) -> None:
    assert letta_code.run("--version").startswith(f"{letta_code.release} ")


def test_a_new_agent_answers(letta_code: LettaCode, first: dict[str, Any], client: Letta) -> None:
    assert first["result"] == "I am at your service."
    agent = client.agents.retrieve(first["agent_id"], include=["agent.tools", "agent.tags"])
    assert "origin:letta-code" in agent.tags
    assert {"web_search", "fetch_webpage"} <= {tool.name for tool in agent.tools}


def test_its_own_tool_runs_once_and_the_model_reads_the_output(
    letta_code: LettaCode, provider: FakeProvider
) -> None:
    before = len(provider.prompts)
    noting = call("Bash", command="echo ran >> notes; wc -l notes", description="Take a note")
    answer = letta_code.ask(do(noting, say("It is noted.")), "--new-agent", "--yolo")
    assert answer["result"] == "It is noted."
    assert (letta_code.directory / "notes").read_text() == "ran\n"
    asked, told = prompts_since(provider, before)
    assert asked[-1]["role"] == "user"
    assert (told[-2]["role"], told[-1]["role"]) == ("assistant", "tool")
    assert "1 notes" in told[-1]["content"]


def test_a_tool_that_fails_is_told_to_the_model_as_a_failure(
    letta_code: LettaCode, provider: FakeProvider
) -> None:
    failing = call("Bash", command="echo broken >&2; exit 3", description="Fail")
    answer = letta_code.ask(do(failing, say("It failed.")), "--new-agent", "--yolo")
    assert answer["result"] == "It failed."
    assert "broken" in provider.prompts[-1][-1]["content"]
    assert json.loads(provider.prompts[-1][-1]["content"])["status"] == "Failed"


def test_an_agent_is_resumed(
    letta_code: LettaCode, first: dict[str, Any], provider: FakeProvider
) -> None:
    answer = letta_code.ask(do(say("Here I am again.")), "--agent", first["agent_id"])
    assert answer["result"] == "Here I am again."
    assert answer["agent_id"] == first["agent_id"]
    remembers = "I am at your service." in [m["content"] for m in provider.prompts[-1]]
    if letta_code.release == _TALKS_IN_THE_AGENTS_OWN_THREAD:
        assert remembers
        assert answer["conversation_id"] == first["conversation_id"] == "default"
    else:
        assert not remembers
        assert answer["conversation_id"] != first["conversation_id"]


def test_a_conversation_is_resumed(
    letta_code: LettaCode, first: dict[str, Any], provider: FakeProvider
) -> None:
    if letta_code.release == _TALKS_IN_THE_AGENTS_OWN_THREAD:
        which = ("--agent", first["agent_id"])
    else:
        which = ("--conversation", first["conversation_id"])
    answer = letta_code.ask(do(say("Where were we?")), *which)
    assert answer["result"] == "Where were we?"
    assert answer["conversation_id"] == first["conversation_id"]
    assert "I am at your service." in [m["content"] for m in provider.prompts[-1]]
