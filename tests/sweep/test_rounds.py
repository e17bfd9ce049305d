"""The sweeper as it runs in a worker: what fails or hangs keeps nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from o.domain.embedding import embedding_execution
from o.storage.database import libpq_url
from o.temporal.ingestions import ingestion_execution
from tests.support.product import Product, eventually
from tests.support.provider import EMBEDDING_HANDLE, HANDLE, FakeProvider
from tests.sweep.rows import is_there, lost_run, status_of
from tests.sweep.test_standing import fail_task, started, try_task


@pytest.fixture(scope="module")
def narrow(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose processes have one connection each, and sweep often."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_DATABASE_POOL": "1",
        "O_SWEEP_INTERVAL_S": "0.2",
        "O_WORKERS": "1",
        "O_TEMPORAL_RETENTION_H": "0.5",
    }
    product = Product(tmp_path_factory.mktemp("narrow") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def client(narrow: Product) -> Letta:
    return narrow.client(max_retries=0)


@pytest.fixture
def agent(client: Letta) -> AgentState:
    return client.agents.create(model=HANDLE)


@contextmanager
def locked(product: Product, table: str, row_id: str) -> Iterator[None]:
    """Somebody holds a row for long."""
    url = libpq_url(product.state["database_url"])
    with psycopg.connect(url) as holding:
        holding.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE".encode(), (row_id,))
        yield


def completes(product: Product, run_id: str) -> None:
    eventually(lambda: status_of(product, run_id) == "completed", what="the end of a lost run")


def waits_for_a_lock(product: Product) -> bool:
    return bool(product.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


def test_with_one_connection_a_process_turns_are_taken_and_lost_runs_carried_on(
    narrow: Product, client: Letta, agent: AgentState
) -> None:
    reply = client.agents.messages.create(agent.id, input="hello")
    assert reply.messages[0].content == "You said: hello"
    completes(narrow, lost_run(narrow, agent, "lost"))
    client.agents.delete(agent.id)
    eventually(lambda: not is_there(narrow, agent), what="the purge")


async def test_temporal_keeps_what_has_ended_as_long_as_it_is_set_to(narrow: Product) -> None:
    temporal = await Client.connect(narrow.state["temporal_address"])
    asked = DescribeNamespaceRequest(namespace=temporal.namespace)
    told = await temporal.workflow_service.describe_namespace(asked)
    assert told.config.workflow_execution_retention_ttl.seconds == 1_800


def test_sweeps_keep_the_connections_of_their_locks(narrow: Product, agent: AgentState) -> None:
    def locking() -> set[int]:
        of_locks = "SELECT pid FROM pg_stat_activity WHERE application_name = 'o worker lock'"
        return {pid for (pid,) in narrow.query(of_locks)}

    eventually(lambda: len(locking()) == 2, what="both rounds")
    before = locking()
    for text in ("lost", "lost again"):
        completes(narrow, lost_run(narrow, agent, text))
    assert locking() == before


def test_a_purge_that_always_fails_keeps_neither_lost_runs_nor_other_purges(
    narrow: Product, client: Letta, agent: AgentState
) -> None:
    kept, gone = (client.agents.create(model=HANDLE) for _ in range(2))
    narrow.query(
        f"""
        CREATE FUNCTION keep_it() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE 'not this one'; END $$;
        CREATE TRIGGER kept BEFORE DELETE ON agents FOR EACH ROW WHEN (OLD.id = '{kept.id}')
        EXECUTE FUNCTION keep_it()
        """
    )
    client.agents.delete(kept.id)
    client.agents.delete(gone.id)
    eventually(lambda: not is_there(narrow, gone), what="the other purge")
    completes(narrow, lost_run(narrow, agent, "lost"))
    assert is_there(narrow, kept)
    narrow.query("DROP TRIGGER kept ON agents")
    eventually(lambda: not is_there(narrow, kept), what="the purge, once it can be")


def test_a_purge_that_hangs_keeps_no_lost_run(
    narrow: Product, client: Letta, agent: AgentState
) -> None:
    gone = client.agents.create(model=HANDLE)
    ((thread_id,),) = narrow.query("SELECT id FROM conversations WHERE agent_id = %s", gone.id)
    with locked(narrow, "conversations", thread_id):
        client.agents.delete(gone.id)
        eventually(lambda: waits_for_a_lock(narrow), what="a purge that waits")
        completes(narrow, lost_run(narrow, agent, "lost"))
        assert is_there(narrow, gone)
    eventually(lambda: not is_there(narrow, gone), what="the purge")


def test_a_run_that_cannot_be_read_is_closed_and_those_behind_it_go_on(
    narrow: Product, client: Letta, agent: AgentState
) -> None:
    bad = lost_run(narrow, agent, "bad")
    narrow.query(
        "UPDATE runs SET options = ('{\"client_tools\": ' || repeat('[', 300) || repeat(']', 300) "
        "|| '}')::jsonb WHERE id = %s",
        bad,
    )
    completes(narrow, lost_run(narrow, agent, "good"))
    assert status_of(narrow, bad) == "failed"
    listed = [run.id for run in client.runs.list(agent_id=agent.id)]
    assert bad not in listed
    assert len(listed) == 1


async def test_what_reads_files_and_makes_vectors_is_replaced_when_it_cannot_go_on(
    narrow: Product, client: Letta
) -> None:
    """Each is to be found in Temporal, at work for ever."""
    temporal = await Client.connect(narrow.state["temporal_address"])
    archive = client.archives.create(name="stuck", embedding=EMBEDDING_HANDLE)
    folder = client.folders.create(name="stuck", embedding=EMBEDDING_HANDLE)
    file = client.folders.files.upload(folder.id, file=("a.txt", b"some words"))
    eventually(lambda: _files(narrow, file.id) == "completed", what="the first reading")
    ingestion = ingestion_execution(str(file.id))
    await temporal.get_workflow_handle(ingestion).result()  # so that its id is free
    for execution in (embedding_execution(archive.id), ingestion):
        await started(temporal, execution)
        for _ in range(3):
            token, _ = await try_task(temporal, execution)
            await fail_task(temporal, token, "SecretUnreadable: the encryption key is gone")
    client.archives.passages.create(archive.id, text="some more words")
    narrow.query("UPDATE files SET processing_status = 'pending' WHERE id = %s", file.id)
    eventually(lambda: _files(narrow, file.id) == "completed", what="the second reading")
    vectors = "SELECT count(*) FROM passage_vectors WHERE archive_id = %s"
    eventually(lambda: narrow.query(vectors, archive.id) == [(1,)], what="the vector")


def _files(product: Product, file_id: str | None) -> str:
    ((status,),) = product.query("SELECT processing_status FROM files WHERE id = %s", file_id)
    return str(status)
