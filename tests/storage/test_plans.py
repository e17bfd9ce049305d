"""What a turn asks of a database with much in it goes by indexes, however often it was asked."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from letta_client.types import AgentState

from o.ids import new_id
from o.storage.database import libpq_url
from tests.support.approvals import INSERT, answer, approval, ask, guarded_agent, request_of
from tests.support.chats import speak
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say
from tests.support.statements import log_statements, statements_of

_AGENTS = 2_000
_FILL = """
SET session_replication_role = replica; -- no triggers: nothing is told of, nothing is checked
INSERT INTO agents (id, organization_id, name, agent_type, system, model, context_window, timezone)
SELECT 'agent-' || n, organizations.id, 'many', 'letta_v1_agent', '', 'openai/x', 1000, 'UTC'
FROM organizations, generate_series(1, {agents}) AS n;
INSERT INTO conversations (id, organization_id, agent_id, is_default)
SELECT 'conv-' || n || '-' || id, organization_id, id, n = 1
FROM agents, generate_series(1, 2) AS n WHERE name = 'many';
INSERT INTO blocks (id, organization_id, label, value, limit_chars)
SELECT 'block-' || id, organization_id, 'human', '', 100 FROM agents;
INSERT INTO agent_blocks (agent_id, label, block_id, position)
SELECT id, 'human', 'block-' || id, 0 FROM agents;
INSERT INTO conversation_blocks (conversation_id, label, block_id)
SELECT id, 'human', 'block-' || agent_id FROM conversations WHERE is_default;
INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, status,
    steps_done, completed_at)
SELECT 'run-' || n || '-' || id, organization_id, agent_id, id, 'key-' || n, 'hash', 'completed',
    1, now()
FROM conversations, generate_series(1, 5) AS n;
INSERT INTO batches (id, organization_id, run_ids, body_hash, created_by_id)
SELECT 'job-' || agent_id, organization_id, array_agg(id), agent_id, 'user-1' FROM runs
GROUP BY agent_id, organization_id;
INSERT INTO steps (id, organization_id, run_id, agent_id, index, status, model)
SELECT 'step-' || id, organization_id, id, agent_id, 0, 'success', 'openai/x' FROM runs;
INSERT INTO messages (id, organization_id, agent_id, conversation_id, run_id, step_id, position,
    role)
SELECT 'message-' || steps.id, steps.organization_id, steps.agent_id, conversation_id, run_id,
    steps.id, row_number() OVER (PARTITION BY conversation_id) + 100, 'assistant'
FROM steps JOIN runs ON runs.id = run_id;
INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, step_id, step_index,
    calls, digest, status)
SELECT 'message-' || id, organization_id, agent_id, conversation_id, id, 'step-' || id, 0,
    '[]', '', 'decided'
FROM runs;
INSERT INTO run_events (run_id, seq, attempt, kind) SELECT id, 1, 1, 'closed' FROM runs;
INSERT INTO archives (id, organization_id, name, passage_count, created_at, updated_at)
SELECT 'archive-' || id, organization_id, 'many', 5, created_at, created_at FROM agents;
INSERT INTO agent_archives (agent_id, archive_id, is_owner, created_at)
SELECT id, 'archive-' || id, true, created_at FROM agents;
INSERT INTO passages (id, organization_id, archive_id, text, key, created_at, updated_at)
SELECT 'passage-' || n || '-' || id, organization_id, id, 'x', 'key-' || n || id, created_at,
    created_at
FROM archives, generate_series(1, 5) AS n;
INSERT INTO archive_tags (archive_id, tag, passage_count) SELECT id, 'tag', 5 FROM archives;
INSERT INTO archives (id, organization_id, name, is_folder, created_at, updated_at)
SELECT 'archive-of-' || id, organization_id, 'many', true, created_at, created_at FROM agents;
INSERT INTO folders (id, organization_id, name, archive_id, created_at, updated_at)
SELECT 'source-' || id, organization_id, 'of ' || id, 'archive-of-' || id, created_at, created_at
FROM agents;
INSERT INTO agent_folders (agent_id, folder_id, created_at)
SELECT id, 'source-' || id, created_at FROM agents;
INSERT INTO files (id, organization_id, folder_id, file_name, original_file_name,
    processing_status, created_at, updated_at)
SELECT 'file-' || n || '-' || id, organization_id, id, name || '/' || n, n, 'completed',
    created_at, created_at
FROM folders, generate_series(1, 5) AS n;
INSERT INTO agent_files (agent_id, file_id, folder_id, is_open)
SELECT agent_id, files.id, files.folder_id, true
FROM files JOIN agent_folders USING (folder_id);
INSERT INTO file_contents (file_id, text) SELECT id, 'x' FROM files;
INSERT INTO file_uploads (file_id, ordinal, body) SELECT id, 0, 'x' FROM files;
INSERT INTO deleted_rows (shown_id, id, kind, organization_id, created_at)
SELECT id, id, 'messages', organization_id, created_at FROM messages;
ANALYZE
"""
_GROWING = (
    *("agents", "agent_blocks", "approvals", "blocks", "conversations", "conversation_blocks"),
    "deleted_rows",
    *("archives", "agent_archives", "archive_tags", "passages", "passage_vectors"),
    *("folders", "agent_folders", "files", "agent_files", "file_contents", "file_uploads"),
    *("batches", "messages", "runs", "run_events", "steps"),
)
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SET", "LISTEN", "DEALLOCATE")


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "O_WORKERS": "1"}
    product = Product(tmp_path_factory.mktemp("plans") / "o", env)
    product.start()
    product.query(_FILL.format(agents=_AGENTS))
    log_statements(product)
    yield product
    product.stop()


def new_agent(product: Product) -> AgentState:
    return product.client().agents.create(
        model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}]
    )


def plain(product: Product) -> None:
    product.client().agents.messages.create(new_agent(product).id, input="hi")


def repeated(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    for count in ("0", "1"):
        headers = {"x-stainless-retry-count": count}
        client.agents.messages.create(agent.id, input="hi", extra_headers=headers)


def with_tools(product: Product) -> None:
    insert = call("memory_insert", label="human", new_string="y")
    search = call("conversation_search", query="nothing like it")
    text = do(insert, search, say("ok"))
    product.client().agents.messages.create(new_agent(product).id, input=text)


def approved(product: Product) -> None:
    client = product.client()
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    answer(client, agent, approval(request.tool_call.tool_call_id))


def cancelled(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    client.agents.messages.create_async(agent.id, input=do(say("x") | {"delay_s": 60}))
    eventually(lambda: client.agents.messages.cancel(agent.id))
    guarded = guarded_agent(client)
    request_of(ask(client, guarded))
    client.agents.messages.cancel(guarded.id)


def impatient(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    for policy in ("reject", "interrupt"):
        client.agents.messages.create(agent.id, input="hi", extra_body={"busy_policy": policy})


def beside(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    conversation = client.conversations.create(agent_id=agent.id)
    speak(client, conversation.id, "hi")
    client.runs.list(conversation_id=conversation.id, active=True)
    url = f"{product.url}/v1/conversations/{conversation.id}/stream"
    assert httpx.post(url, json={}).status_code in (200, 400, 404)


def batched(product: Product) -> None:
    guarded, other = guarded_agent(product.client()), new_agent(product)
    said = {"role": "user", "content": do(INSERT), "otid": new_id("message")}
    with_keys = [
        {"agent_id": guarded.id, "messages": [said]},
        {"agent_id": other.id, "input": do(say("x") | {"delay_s": 60})},
        {"agent_id": other.id, "input": "waits"},
    ]
    without = [{"agent_id": new_agent(product).id, "input": "x"}]
    with httpx.Client(base_url=f"{product.url}/v1/messages/batches", timeout=60) as http:

        def made(requests: Any, again: str) -> str:
            headers = {"x-stainless-retry-count": again}
            answer = http.post("", json={"requests": requests}, headers=headers)
            return str(answer.raise_for_status().json()["id"])

        assert made(without, "0") == made(without, "1")
        batch = made(with_keys, "0")
        assert made(with_keys, "0") == batch
        eventually(lambda: http.get(f"/{batch}").json()["metadata"]["runs"]["completed"] == 1)
        (first, *_) = http.get(f"/{batch}/messages").raise_for_status().json()["messages"]
        http.get(f"/{batch}/messages", params={"after": first["id"]}).raise_for_status()
        http.get("", params={"after": batch, "limit": 1}).raise_for_status()
        cancelled = http.patch(f"/{batch}/cancel").raise_for_status().json()
        assert cancelled["metadata"]["runs"]["cancelled"] == 3


def archived(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    archive = client.archives.create(name="notes")
    client.agents.archives.attach(archive.id, agent_id=agent.id)
    for count in ("0", "1"):
        headers = {"x-stainless-retry-count": count}
        client.agents.passages.create(agent.id, text="x", tags=["t"], extra_headers=headers)
    (first,) = client.agents.passages.list(agent.id)
    client.agents.passages.list(agent.id, after=str(first.id), limit=1)
    list(client.archives.list(agent_id=agent.id, limit=1))
    httpx.get(f"{product.url}/v1/archives/{archive.id}/duplicates").raise_for_status()
    client.agents.recompile(agent.id, update_timestamp=True)
    client.agents.passages.delete(str(first.id), agent_id=agent.id)
    client.archives.delete(archive.id)


def filed(product: Product) -> None:
    client, agent = product.client(), new_agent(product)
    folder = client.folders.create(name=new_id("folder"))
    client.agents.folders.attach(folder.id, agent_id=agent.id)
    for handling in ("suffix", "suffix", "replace", "skip"):
        file = client.folders.files.upload(
            folder.id,
            file=("a.txt", b"x", "text/plain"),
            duplicate_handling=handling,
            extra_headers={"x-stainless-retry-count": "0" if handling == "suffix" else "1"},
        )
    client.folders.files.list(folder.id, after=file.id, limit=1, include_content=True)
    client.folders.files.retrieve(file.id, folder_id=folder.id, include_content=True)
    client.folders.list(name=folder.name)
    client.folders.list(after=folder.id, limit=1)
    client.folders.agents.list(folder.id)
    client.get(f"/v1/folders/{folder.id}/passages", cast_to=object)
    client.agents.folders.list(agent.id)
    client.agents.files.list(agent.id, after=file.id, is_open=True)
    client.folders.update(folder.id, name=new_id("folder"))
    client.agents.folders.detach(folder.id, agent_id=agent.id)
    client.folders.files.delete(file.id, folder_id=folder.id)
    client.folders.delete(folder.id)


@pytest.mark.parametrize(
    "operation",
    [plain, repeated, with_tools, approved, cancelled, impatient, beside, batched, archived, filed],
)
def test_no_statement_reads_a_whole_table(product: Product, operation: Any) -> None:
    sent = statements_of(product, lambda: operation(product))
    asked = {text for _, text in sent if not text.startswith(_CONTROL)}
    assert len(asked) >= 3
    url = libpq_url(product.state["database_url"])
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET enable_bitmapscan = off")  # as all of O's connections have it
        for text in asked:
            assert read_whole(connection, text) == [], text


def read_whole(connection: psycopg.Connection[Any], text: str) -> list[str]:
    """The tables that a plan for whatever values reads from end to end, of those that grow."""
    typed = re.sub(r"(now\(\) - )(\$\d+)", r"\1\2::interval", text)
    statement = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {typed}"
    ((plan,),) = connection.execute(statement.encode()).fetchall()
    nodes = list(nodes_of(plan[0]["Plan"]))
    assert nodes
    whole = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    return [table for table in whole if table in _GROWING]


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes_of(child)
