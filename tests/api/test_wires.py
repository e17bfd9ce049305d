"""A turn with a tool over every wire, through the running product: thoughts, calls, streams."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.llm.conformance.bench import KINDS
from tests.llm.fakes.provider import Call, Fake, Say
from tests.llm.fakes.server import serving
from tests.support.product import Product

NOTE = Call("memory_insert", {"label": "human", "new_string": "Ada, née 李"})
WITHOUT_THOUGHTS = ("openai", "azure")
NAMES = [name for name in KINDS if name != "responses"]
"""The responses wire is no provider's own: agents choose it."""


@pytest.fixture(scope="module")
def fakes() -> dict[str, Fake]:
    return {name: kind.fake() for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def url(fakes: dict[str, Fake]) -> Iterator[str]:
    with serving(*fakes.values()) as url:
        yield url


@pytest.fixture
def set_up(server: Product, url: str) -> Iterator[Any]:
    """Makes a provider of a column of the conformance table, and deletes it after the test."""
    made: list[str] = []
    with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as http:

        def make(name: str) -> str:
            kind = KINDS[name]
            more = {
                key: getattr(value, "get_secret_value", lambda v=value: v)()
                for key, value in kind.more.items()
            }
            body = {
                "name": f"of-{name}",
                "provider_type": kind.provider_type,
                "api_key": kind.key or "unused",
                "base_url": f"{url}/{name}{kind.path}",
            }
            answer = http.post("/providers/", json=body | more)
            assert answer.status_code == 200, answer.text
            made.append(answer.json()["id"])
            return f"of-{name}/{kind.fake.model}"  # type: ignore[attr-defined]

        yield make
        for provider_id in made:
            http.delete(f"/providers/{provider_id}")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_turn_with_a_tool_goes_over_every_wire(
    client: Letta, fakes: dict[str, Fake], set_up: Any, name: str, streams: bool
) -> None:
    fake = fakes[name]
    fake.reset()
    thought = "" if name in WITHOUT_THOUGHTS else "Hm, über Ada."
    fake.says = [Say(reasoning=thought, text="Noting.", calls=(NOTE,)), Say(text="Grüße, Ada")]
    agent = client.agents.create(
        model=set_up(name), memory_blocks=[{"label": "human", "value": ""}]
    )
    for text in ("I am Ada", "And?"):
        if streams:
            pieces: list[Any] = list(
                client.agents.messages.stream(agent.id, input=text, stream_tokens=True)
            )
            said = [one.content for one in pieces if one.message_type == "assistant_message"]
            assert "".join(map(str, said)).endswith("Grüße, Ada")
        else:
            reply = client.agents.messages.create(agent.id, input=text)
            last: Any = reply.messages[-1]
            assert last.content == "Grüße, Ada"
    block = client.agents.blocks.retrieve("human", agent_id=agent.id)
    assert "Ada, née 李" in block.value
    assert fake.refused == []


def test_an_agent_speaks_responses_when_it_says_so(
    client: Letta, fakes: dict[str, Fake], set_up: Any
) -> None:
    fake = fakes["responses"]
    fake.reset()
    fake.says = [Say(reasoning="Hm.", calls=(NOTE,)), Say(text="Grüße, Ada")]
    settings: Any = {"provider_type": "openai", "api": "responses"}
    agent = client.agents.create(
        model=set_up("responses"),
        model_settings=settings,
        memory_blocks=[{"label": "human", "value": ""}],
    )
    reply = client.agents.messages.create(agent.id, input="I am Ada")
    kinds = [one.message_type for one in reply.messages]
    assert kinds[0] == "reasoning_message"
    assert kinds[-1] == "assistant_message"
    assert fake.refused == []
