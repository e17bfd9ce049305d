"""An export of long histories and archives has a part of them in memory at a time."""

import asyncio
import gc

import httpx
from letta_client import Letta
from letta_client.types import AgentState

from api.app import create_app
from o.domain.archives import Passage
from o.domain.messages import Message
from o.settings.all import ProviderSettings, Settings
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


async def test_an_export_holds_so_many_messages_and_passages_and_no_more(
    server: Product, client: Letta, agent: AgentState
) -> None:
    archive_id = client.archives.create(name="long").id
    client.agents.archives.attach(archive_id, agent_id=agent.id)
    server.query(FILL.format(agent_id=agent.id, archive_id=archive_id))
    settings = Settings(database_url=server.state["database_url"], data_dir=server.data_dir)
    app = create_app(settings, ProviderSettings())
    most = 0
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        exporting = asyncio.create_task(http.get(f"/v1/agents/{agent.id}/export"))
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
