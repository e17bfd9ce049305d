"""Packages that tools require, in the sandbox of a running server."""

from typing import Any

import pytest
from letta_client import BadRequestError, Letta
from letta_client.types import AgentState

from tests.sandbox.wheels import make_wheel
from tests.support.product import Product, eventually
from tests.support.provider import call, do, say
from tests.support.tools import fresh_name

IMPORTS = '''
def {name}() -> str:
    """Greet."""
    import o_greeting
    return o_greeting.VERSION
'''


@pytest.fixture
def name(client: Letta, server: Product) -> str:
    wheels = server.data_dir.parent / "wheels"
    wheels.mkdir(exist_ok=True)
    make_wheel(wheels, "o_greeting", "1.5")
    return fresh_name("greet")


def returned(client: Letta, agent: AgentState, name: str) -> tuple[str, str]:
    reply = client.agents.messages.create(agent.id, input=do(call(name), say("done")))
    (told,) = (one for one in reply.messages if one.message_type == "tool_return_message")
    return told.status, told.tool_return


def test_a_tool_finds_what_it_requires(client: Letta, agent: AgentState, name: str) -> None:
    tool = client.tools.create(
        source_code=IMPORTS.format(name=name),
        pip_requirements=[{"name": "o-greeting", "version": "1.5"}],
    )
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    assert returned(client, agent, name) == ("success", "1.5")
    assert returned(client, agent, name) == ("success", "1.5")


def test_what_cannot_be_had_is_told_to_the_model_and_kept_with_the_tool(
    client: Letta, agent: AgentState, name: str
) -> None:
    tool = client.tools.create(
        source_code=IMPORTS.format(name=name),
        pip_requirements=[{"name": "o-greeting", "version": "9"}],
    )
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    status, text = returned(client, agent, name)
    assert status == "error"
    assert "requirements cannot be installed" in text
    assert "o-greeting==9" in text
    kept = client.tools.retrieve(tool.id).model_extra
    assert kept is not None
    assert "o-greeting==9" in kept["problem"]


def test_they_are_installed_when_the_tool_is_made_and_a_failure_shows_before_any_call(
    client: Letta, server: Product, name: str
) -> None:
    folder = server.data_dir / "tool-packages"
    make_wheel(server.data_dir.parent / "wheels", "o_ahead", "1.0")

    def is_installed() -> bool:
        return any(folder.glob("*/o_ahead*"))

    assert not is_installed()
    tool = client.tools.create(
        source_code=IMPORTS.format(name=name), pip_requirements=[{"name": "o-ahead"}]
    )
    eventually(is_installed, what="the installation")
    wanted: Any = [{"name": "o-ahead", "version": "7"}]
    client.tools.update(tool.id, pip_requirements=wanted)

    def problem() -> str:
        kept = client.tools.retrieve(tool.id).model_extra or {}
        return kept["problem"] or ""

    eventually(lambda: "o-ahead==7" in problem(), what="the failure")


@pytest.mark.parametrize("name", ["--index-url=http://127.0.0.1/", "x @ file:///etc/passwd"])
def test_what_is_no_package_is_refused_at_once(client: Letta, name: str) -> None:
    with pytest.raises(BadRequestError, match="requirement"):
        client.tools.create(
            source_code=IMPORTS.format(name=fresh_name()), pip_requirements=[{"name": name}]
        )
