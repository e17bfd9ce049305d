"""A key that is shut opens nothing afterwards: to who looked it up meanwhile, or reads a stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from letta_client.types import AgentState
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.keys import KeyBook
from o.domain.keys import hash_of
from o.storage.database import Database
from tests.chaos.killing import Background
from tests.support.organizations import new_key
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, Gate, Prompt
from tests.support.streams import body_of

_WAYS = {
    "revoked": "UPDATE api_keys SET revoked_at = now() WHERE hash = %s",
    "expired": "UPDATE api_keys SET expires_at = now() WHERE hash = %s",
    "gone": "DELETE FROM api_keys WHERE hash = %s",
}


class _Slow(Database):
    """A database whose answers come late."""

    def __init__(self, url: str) -> None:
        super().__init__(url, name="keys shut")
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:  # type: ignore[override]
        async with super().connect() as connection:
            yield connection
            self.has_read.set()
            await self.goes_on.wait()


class _Asking:
    """Somebody who asks by a key, of a run whose model call waits at a gate."""

    def __init__(
        self, server: Product, provider: FakeProvider, agent: AgentState, path: str, **body: Any
    ) -> None:
        self.secret = new_key(server, "write")
        self._text = f"hold {self.secret[-8:]}"
        self.gate: Gate = provider.hold(self._is_mine)
        said = [{"role": "user", "content": self._text}]
        headers = {"authorization": f"Bearer {self.secret}"}
        self._asking = Background(
            lambda: httpx.post(
                f"{server.url}/v1/{path}",
                json=body | {"messages": said},
                headers=headers,
                timeout=60,
            )
        )
        assert self.gate.reached.wait(30)

    def _is_mine(self, prompt: Prompt) -> bool:
        return prompt[-1].get("content") == self._text

    @property
    def is_open(self) -> bool:
        """Whether the answer has not come to its end."""
        return self._asking.is_alive()

    def answer(self) -> httpx.Response:
        """What came of it."""
        return self._asking.result(30)


def _shut(server: Product, asking: _Asking, how: str) -> None:
    """As another process of the API does it, of which this one is not told."""
    server.query(_WAYS[how], hash_of(asking.secret))


def _last(answer: httpx.Response) -> dict[str, Any]:
    """The last event of a stream."""
    return body_of(answer.text.strip().split("\n\n")[-1])


async def test_a_look_that_is_older_than_what_was_shut_is_not_remembered(server: Product) -> None:
    book, secret = KeyBook(), new_key(server, "read")
    database = _Slow(server.state["database_url"])
    looking = asyncio.create_task(book.find(database, secret))
    async with asyncio.timeout(10):
        await database.has_read.wait()
    server.query(_WAYS["revoked"], hash_of(secret))
    book.forget()
    database.goes_on.set()
    assert await looking is not None, "it was good when it was asked for"
    assert await book.find(database, secret) is None
    await database.close()


@pytest.mark.parametrize("how", _WAYS)
def test_a_stream_ends_when_its_key_is_shut_and_the_run_and_other_streams_go_on(
    server: Product, provider: FakeProvider, agent: AgentState, how: str
) -> None:
    other = server.client().agents.create(model=agent.llm_config.handle)
    held = _Asking(server, provider, agent, f"agents/{agent.id}/messages/stream")
    kept = _Asking(server, provider, other, f"agents/{other.id}/messages/stream")
    _shut(server, held, how)
    error = _last(held.answer())
    assert (error["message_type"], error["detail"]) == ("error_message", "")
    assert "expired or was revoked" in error["message"]
    assert kept.is_open
    for one in (held, kept):
        one.gate.opened.set()
    assert kept.answer().text.endswith("data: [DONE]\n\n")
    client = server.client()
    eventually(lambda: client.runs.retrieve(error["run_id"]).status == "completed")


def test_who_waits_for_json_by_a_key_that_is_shut_is_unauthorized(
    server: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = _Asking(server, provider, agent, f"agents/{agent.id}/messages")
    _shut(server, held, "revoked")
    answer = held.answer()
    assert answer.status_code == 401, answer.text
    assert "expired or was revoked" in answer.json()["detail"]
    held.gate.opened.set()


def test_a_stream_of_a_client_of_openai_ends_when_its_key_is_shut(
    server: Product, provider: FakeProvider, agent: AgentState
) -> None:
    held = _Asking(server, provider, agent, "chat/completions", model=agent.id, stream=True)
    _shut(server, held, "revoked")
    assert "expired or was revoked" in _last(held.answer())["error"]["message"]
    held.gate.opened.set()
