"""What a prompt shows of folders costs what it shows, however many files there are."""

from collections.abc import AsyncIterator

import pytest
from letta_client import Letta

from o.domain.actors import Actor
from o.ids import DEFAULT_ORGANIZATION_ID, new_id
from o.storage.agents.agents import get_agent
from o.storage.database import Database
from o.storage.files.directories import read_directories
from tests.storage.test_large_archives import read_by
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

_FILES = 10_000
_FILL = """
INSERT INTO files (id, organization_id, folder_id, file_name, original_file_name,
    processing_status, created_at, updated_at)
SELECT 'file-' || gen_random_uuid(), '{organization_id}', id, name || '/' || n, n::text,
    'completed', now() + n * interval '1 millisecond', now()
FROM folders, generate_series(1, {files}) AS n WHERE id = '{folder_id}';
INSERT INTO file_contents (file_id, text)
SELECT id, repeat('stripes of ' || file_name || E'\\n', 20) FROM files
WHERE folder_id = '{folder_id}';
INSERT INTO agent_files (agent_id, file_id, folder_id, is_open, last_accessed_at)
SELECT '{agent_id}', id, folder_id, row_number() OVER (ORDER BY created_at) <= 5, now()
FROM files WHERE folder_id = '{folder_id}';
ANALYZE files, file_contents, agent_files, agent_folders, folders
"""


@pytest.fixture(scope="module")
def agent_id(server: Product, client: Letta) -> str:
    """An agent that has a folder of many files, of which it has had every one open."""
    folder = client.folders.create(name=new_id("folder"))
    agent_id = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]}).id
    server.query(
        _FILL.format(
            organization_id=DEFAULT_ORGANIZATION_ID,
            folder_id=folder.id,
            agent_id=agent_id,
            files=_FILES,
        )
    )
    return agent_id


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


async def test_a_prompt_reads_the_files_that_it_lists(database: Database, agent_id: str) -> None:
    actor = Actor(organization_id=DEFAULT_ORGANIZATION_ID)
    async with database.connect() as connection:
        agent = await get_agent(connection, actor, agent_id)
        directories, _ = await read_directories(connection, agent)
    assert directories is not None
    assert len(directories.views) == 5
    assert directories.folders[0].has_more
    assert await read_by(database, lambda c: read_directories(c, agent)) < 1_000


def test_a_search_of_ten_thousand_files_finds_the_one(client: Letta, agent_id: str) -> None:
    sent = do(call("grep_files", pattern="stripes of .*/9999$"), say("done"))
    answer = client.agents.messages.create(agent_id, input=sent)
    returned = next(m for m in answer.messages if m.message_type == "tool_return_message")
    assert "Found 20 total matches across 1 files" in returned.tool_return
