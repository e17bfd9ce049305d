"""Releases of the Letta Code CLI work with a server as `o up` starts it: no key, no Redis."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.letta_code.cli import RELEASES, SHELL, LettaCode
from tests.support.product import Product
from tests.support.provider import FakeProvider, call, do, say

_ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}
_TALKS_IN_THE_AGENTS_OWN_THREAD = "0.15.2"  # later releases open a conversation for each run
_KEEPS_ITS_SKILLS_IN_BLOCKS = "0.15.2"  # later releases tell of them in each request


@pytest.fixture(scope="module", params=RELEASES)
def letta_code(
    request: pytest.FixtureRequest, server: Product, tmp_path_factory: pytest.TempPathFactory
) -> LettaCode:
    return LettaCode(request.param, server.url, tmp_path_factory.mktemp("letta-code"))


@pytest.fixture(scope="module")
def first(letta_code: LettaCode, provider: FakeProvider) -> dict[str, Any]:
    """What the first run answered, which made the agent."""
    said = do(say("I am at your service."))
    return letta_code.ask(said, "--new-agent", LETTA_API_KEY="means-nothing-here")


@pytest.fixture(autouse=True)
def _all_is_in_order(server: Product, provider: FakeProvider) -> Iterator[None]:
    """After each command no run is open, and the provider was asked nothing improper."""
    before = list(provider.problems)
    yield
    assert provider.problems == before
    assert not server.query(
        "SELECT runs.id FROM runs JOIN agents ON agents.id = runs.agent_id "
        "WHERE runs.status IN ('created', 'running') AND 'origin:letta-code' = ANY(agents.tags)"
    )


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_is_pinned_by_content_wherever_it_comes_from(release: str) -> None:
    lock = json.loads((Path(__file__).parent / release / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/@letta-ai/letta-code"]["version"] == release
    assert all("integrity" in package for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


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
    noting = call(SHELL, command="echo ran >> notes; wc -l notes")
    answer = letta_code.ask(do(noting, say("It is noted.")), "--new-agent", "--yolo")
    assert answer["result"] == "It is noted."
    assert (letta_code.directory / "notes").read_text() == "ran\n"
    asked, told = provider.prompts[before:]
    assert asked[-1]["role"] == "user"
    assert (told[-2]["role"], told[-1]["role"]) == ("assistant", "tool")
    assert "1 notes" in told[-1]["content"]
    knows_skills = ["<available_skills>" in prompt[0]["content"] for prompt in (asked, told)]
    assert knows_skills == [letta_code.release != _KEEPS_ITS_SKILLS_IN_BLOCKS] * 2


def test_a_tool_that_the_client_does_not_allow_is_denied_and_the_model_reads_why(
    letta_code: LettaCode, provider: FakeProvider
) -> None:
    touching = call(SHELL, command="touch forbidden")
    mode = ("--permission-mode", "default")
    answer = letta_code.ask(do(touching, say("I may not.")), "--new-agent", *mode)
    assert answer["result"] == "I may not."
    assert not (letta_code.directory / "forbidden").exists()
    told = json.loads(provider.prompts[-1][-1]["content"])
    assert (told["status"], "denied" in told["message"]) == ("Failed", True)


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


def same_conversation(letta_code: LettaCode, first: dict[str, Any]) -> tuple[str, str]:
    """The arguments that go on where the first run was."""
    if letta_code.release == _TALKS_IN_THE_AGENTS_OWN_THREAD:
        return "--agent", first["agent_id"]
    return "--conversation", first["conversation_id"]


def test_a_conversation_is_resumed(
    letta_code: LettaCode, first: dict[str, Any], provider: FakeProvider
) -> None:
    answer = letta_code.ask(do(say("Where were we?")), *same_conversation(letta_code, first))
    assert answer["result"] == "Where were we?"
    assert answer["conversation_id"] == first["conversation_id"]
    assert "I am at your service." in [m["content"] for m in provider.prompts[-1]]


def test_a_call_that_an_earlier_run_left_behind_is_denied_and_the_agent_goes_on(
    letta_code: LettaCode, first: dict[str, Any], provider: FakeProvider, server: Product
) -> None:
    """As when a person leaves while the CLI asks whether a command may run."""
    in_own_thread = first["conversation_id"] == "default"
    kind, key = ("agents", "agent_id") if in_own_thread else ("conversations", "conversation_id")
    left = httpx.post(
        f"{server.url}/v1/{kind}/{first[key]}/messages",
        json={
            "input": do(call(SHELL, command="true"), say("It was denied.")),
            "streaming": False,
            "client_tools": [{"name": SHELL, "description": "Run.", "parameters": _ANYTHING}],
        },
        timeout=60,
    )
    assert left.json()["stop_reason"]["stop_reason"] == "requires_approval"
    answer = letta_code.ask(do(say("On we go.")), *same_conversation(letta_code, first))
    assert answer["result"] == "On we go."
    assert any("denied" in str(m["content"]) for m in provider.prompts[-1] if m["role"] == "tool")
