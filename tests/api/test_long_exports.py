"""An export of long histories and archives has a part of them in memory at a time."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from letta_client import Letta
from letta_client.types import AgentState
from starlette.requests import ClientDisconnect
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from api.app import create_app
from o.domain.archives import Passage
from o.domain.messages import Message
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.history.exports import AT_ONCE
from tests.support.product import Product

MANY = 3 * AT_ONCE + 1
FILL = f"""
SET session_replication_role = replica; -- no triggers: nothing is embedded, nothing counted
INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, parts,
    created_at)
SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, id, n, 'user',
    jsonb_build_array(jsonb_build_object('type', 'text', 'text', 'said ' || n)), now()
FROM conversations, generate_series(1, {MANY}) AS n WHERE agent_id = '{{agent_id}}';
UPDATE conversations SET next_position = {MANY} + 1 WHERE agent_id = '{{agent_id}}';
INSERT INTO passages (id, organization_id, archive_id, text, key, tags, created_at, updated_at)
SELECT 'passage-' || gen_random_uuid(), organization_id, id, 'kept ' || n, md5(n::text),
    ARRAY[]::text[], now() + n / 2 * interval '1 second', now()
FROM archives, generate_series(1, {MANY}) AS n WHERE id = '{{archive_id}}'
"""


@pytest.fixture
def long_agent(server: Product, client: Letta, agent: AgentState) -> str:
    """The id of an agent with a long history and a long archive."""
    archive_id = client.archives.create(name="long").id
    client.agents.archives.attach(archive_id, agent_id=agent.id)
    server.query(FILL.format(agent_id=agent.id, archive_id=archive_id))
    return agent.id


@pytest.fixture
async def app(server: Product) -> AsyncIterator[FastAPI]:
    """The API in this process."""
    settings = Settings(database_url=server.state["database_url"], data_dir=server.data_dir)
    app = create_app(settings, ProviderSettings())
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """How many files wait on disk, which have no names there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def count() -> int:
        opened = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        return sum(str(one.readlink()).startswith(str(tmp_path)) for one in opened)

    return count


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_an_export_holds_so_many_messages_and_passages_and_no_more(
    app: FastAPI, long_agent: str
) -> None:
    most = 0
    async with client_of(app) as http:
        exporting = asyncio.create_task(http.get(f"/v1/agents/{long_agent}/export"))
        while not exporting.done():
            held = sum(type(one) in (Message, Passage) for one in gc.get_objects())
            most = max(most, held)
            await asyncio.sleep(0)
        answer = await exporting
    assert answer.status_code == 200
    assert AT_ONCE <= most <= 2 * AT_ONCE, "a page, and the next one that is read meanwhile"
    file = answer.json()
    said = [one["content"][0]["text"] for one in file["agents"][0]["messages"]]
    assert said[-MANY:] == [f"said {n}" for n in range(1, MANY + 1)]
    (archive,) = file["o_archives"]
    assert {one["text"] for one in archive["passages"]} == {f"kept {n}" for n in range(1, MANY + 1)}
    assert len(archive["passages"]) == MANY


async def test_an_export_that_is_broken_off_while_it_is_read_leaves_nothing_on_disk(
    app: FastAPI, long_agent: str, waiting: Callable[[], int]
) -> None:
    async with client_of(app) as http:
        exporting = asyncio.create_task(http.get(f"/v1/agents/{long_agent}/export"))
        while not waiting():
            await asyncio.sleep(0)
        exporting.cancel()
        with pytest.raises(asyncio.CancelledError) as held:
            await exporting
    assert not waiting(), held


async def test_an_export_whose_client_hangs_up_leaves_nothing_on_disk(
    app: FastAPI, long_agent: str, waiting: Callable[[], int]
) -> None:
    most = 0

    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: AsgiMessage) -> None:
        nonlocal most
        most = max(most, waiting())
        if message.get("body"):
            raise BrokenPipeError

    path = f"/v1/agents/{long_agent}/export"
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "root_path": "",
    }
    with pytest.raises(ClientDisconnect) as held:
        await app(scope, receive, send)
    assert most == 1
    assert not waiting(), held
