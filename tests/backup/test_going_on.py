"""A backup under load, restored beside it with an empty Temporal: every conversation goes on."""

import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.storage.database import libpq_url
from server.backup.file import Reader, Table
from tests.support.approvals import (
    answer,
    approval,
    ask,
    await_rest,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE, FakeProvider, Gate, call, do, last_user_text, say

_HELD = do(call("memory_insert", label="human", new_string="was under way"), say("carried on"))
LATER = (
    "UPDATE alembic_version SET version_num = '0999'",
    "ALTER TABLE runs ADD COLUMN of_later text NOT NULL DEFAULT 'expanded'",
    "ALTER TABLE messages ADD COLUMN of_later jsonb",
    "ALTER TABLE agents ADD COLUMN of_later bigint NOT NULL DEFAULT 7",
    "CREATE TABLE of_later (id text PRIMARY KEY, run_id text REFERENCES runs (id))",
)
"""What a later release does first: it adds, and what it adds can be left out."""
_SESSION = "SET timezone = 'UTC'; SET extra_float_digits = 3"


def o(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command of O to its end."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


class Talker:
    """A client that says one thing after another until it is told to stop."""

    def __init__(self, client: Letta, number: int) -> None:
        self.agent = client.agents.create(name=f"talker-{number}", model=HANDLE)
        self.answered: list[str] = []
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.is_set():
            said = f"{self.agent.name} says {len(self.answered)}"
            self._client.agents.messages.create(self.agent.id, input=said)
            self.answered.append(said)

    def stop(self) -> None:
        """Let what was said be answered."""
        self._stop.set()
        self._thread.join(120)


class Load:
    """What is at work while the backup is taken."""

    def __init__(self, product: Product, provider: FakeProvider) -> None:
        client = product.client()
        self.guarded = guarded_agent(client)
        self.request = request_of(ask(client, self.guarded))
        self.busy = client.agents.create(
            name="busy", model=HANDLE, memory_blocks=[{"label": "human", "value": "nothing"}]
        )
        self.gate: Gate = provider.hold(
            lambda prompt: last_user_text(prompt) == _HELD and prompt[-1]["role"] == "tool"
        )
        for said in (_HELD, "queued 0", "queued 1"):
            client.agents.messages.create_async(self.busy.id, input=said)
        assert self.gate.reached.wait(120)
        self.talkers = [Talker(client, number) for number in range(3)]
        eventually(lambda: all(one.answered for one in self.talkers), what="talk")

    @property
    def agents(self) -> list[AgentState]:
        return [self.guarded, self.busy, *(one.agent for one in self.talkers)]


def messages_in(file: Path) -> dict[str, list[bytes]]:
    """The rows of messages in a backup, by conversation, in their order."""
    with file.open("rb") as opened:
        columns, rows = [], b""
        for part in Reader(opened, file.name).parts():
            if isinstance(part, Table):
                current = part
            elif current.name == "messages":
                columns, rows = current.columns, rows + part
    return by_conversation(columns, rows)


def messages_of(product: Product) -> dict[str, list[bytes]]:
    """The same of a database that is served."""
    with psycopg.connect(libpq_url(product.state["database_url"])) as connection:
        connection.execute(_SESSION.encode())
        found = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'messages'::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum"
        ).fetchall()
        columns = [str(name) for (name,) in found]
        with connection.cursor().copy(
            f"COPY messages ({', '.join(columns)}) TO STDOUT".encode()
        ) as c:
            rows = b"".join(bytes(row) for row in c)
    return by_conversation(columns, rows)


def by_conversation(columns: list[str], rows: bytes) -> dict[str, list[bytes]]:
    """Rows as COPY has them, sorted by their places."""
    conversation, position = columns.index("conversation_id"), columns.index("position")
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for row in rows.splitlines():
        fields = row.split(b"\t")
        found[fields[conversation].decode()].append((int(fields[position]), row))
    return {name: [row for _, row in sorted(them)] for name, them in found.items()}


@dataclass(frozen=True)
class Moved:
    """What was taken under load, and the product that was restored from it."""

    load: Load
    file: Path
    kept: dict[str, list[bytes]]
    restored: Product


@pytest.fixture(scope="module")
def moved(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    home = tmp_path_factory.mktemp("backup")
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "O_WORKERS": "1"}
    source, restored = Product(home / "source" / "o", env), Product(home / "restored" / "o", env)
    file = home / "busy.backup"
    try:
        source.start()
        load = Load(source, provider)
        kept = _take(source, load, file)
        source.kill_everything()
        done = o("restore", str(file), "--data-dir", str(restored.data_dir), env=source.env)
        assert done.returncode == 0, done.stderr
        assert not (restored.data_dir / "temporal.db").exists()
        load.gate.opened.set()
        restored.start()
        yield Moved(load, file, kept, restored)
    finally:
        restored.stop()
        source.stop()


def _take(source: Product, load: Load, file: Path) -> dict[str, list[bytes]]:
    """Take a backup while clients talk, and hold it to what was acknowledged before and after."""
    answered = [said.encode() for one in load.talkers for said in one.answered]
    taken = o("backup", str(file), "--data-dir", str(source.data_dir), env=source.env)
    assert taken.returncode == 0, taken.stderr
    for one in load.talkers:
        one.stop()
    kept, there = messages_in(file), messages_of(source)
    whole = b"".join(row for rows in kept.values() for row in rows)
    assert [said for said in answered if said not in whole] == []
    for conversation, rows in kept.items():  # what a snapshot has of a thread is how it begins
        assert rows == there[conversation][: len(rows)]
    return kept


def test_all_that_is_open_goes_on_in_a_place_that_is_restored_from_a_backup_under_load(
    moved: Moved,
) -> None:
    load, restored = moved.load, moved.restored
    client = restored.client()
    said = answer(client, load.guarded, approval(load.request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert "likes tea" in memory_of(client, load.guarded)
    for agent in load.agents:
        await_rest(client, agent)
        reply = client.agents.messages.create(agent.id, input="and now?")
        assert reply.messages[-1].content == "You said: and now?"
    assert memory_of(client, load.busy).count("was under way") == 1
    assert _said(client, load.busy) == [
        *("carried on", "You said: queued 0", "You said: queued 1", "You said: and now?")
    ]
    now = messages_of(restored)
    for conversation, rows in moved.kept.items():
        # The first one is the prompt, compiled anew where memory was changed since.
        assert rows[0].split(b"\t").index(b"system")
        assert now[conversation][1 : len(rows)] == rows[1:]
    assert restored.query("SELECT count(*) FROM runs WHERE status <> 'completed'") == [(0,)]


def test_executions_that_may_know_more_than_a_backup_are_in_the_way_of_it_and_can_be_ended(
    moved: Moved,
) -> None:
    product, agent = moved.restored, moved.load.talkers[1].agent
    places = {
        "TEMPORAL_ADDRESS": product.state["temporal_address"],
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }
    refused = o("restore", str(moved.file), env=product.env | places)
    assert refused.returncode == 1
    assert "open executions of an O on the task queue o" in refused.stderr
    refused = o("reset-temporal", env=product.env | places)
    assert refused.returncode == 1
    assert re.search("workers poll the task queue o, .*worker-1.*--despite-workers", refused.stderr)
    ended = o("reset-temporal", "--despite-workers", env=product.env | places)
    assert ended.stdout.endswith(" executions ended\n"), ended.stderr
    assert int(ended.stdout.split()[0]) > 0
    assert _next(product, agent).startswith("You said: ")


def test_a_namespace_that_is_not_there_yet_is_in_nobodys_way(moved: Moved, tmp_path: Path) -> None:
    product = moved.restored
    product.query("CREATE DATABASE beside")
    url = product.state["database_url"].replace("/o?", "/beside?", 1)
    places = {
        "TEMPORAL_ADDRESS": product.state["temporal_address"],
        "TEMPORAL_NAMESPACE": "nowhere",
        "DATABASE_URL": url,
        "O_DATA_DIR": str(tmp_path),
    }
    refused = o("reset-temporal", env=product.env | places)
    assert "has no namespace nowhere: `o migrate` registers it" in refused.stderr
    done = o("restore", str(moved.file), env=product.env | places)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "has no namespace nowhere: `o migrate` registers it, or set TEMPORAL_NAMESPACE to one that "
        "is there"
    )


def test_processes_of_this_release_serve_on_the_schema_of_a_later_one(moved: Moved) -> None:
    """While a release is rolled out: it has expanded the schema, and the old ones still run."""
    product, agent = moved.restored, moved.load.talkers[0].agent
    for change in LATER:
        product.query(change)
    assert _next(product, agent) == "You said: on a schema that changed under it"
    for part in ("api", "worker-1"):
        product.kill(part)
    eventually(lambda: product.query("SELECT version_num FROM alembic_version") == [("0999",)])
    assert _next(product, agent) == "You said: on a schema that changed under it"


def _next(product: Product, agent: AgentState) -> str:
    client = product.client(max_retries=10)
    said = client.agents.messages.create(agent.id, input="on a schema that changed under it")
    return str(said.messages[-1].content)


def _said(client: Letta, agent: AgentState) -> list[str]:
    found = client.agents.messages.list(agent.id, order="asc", limit=100)
    return [str(one.content) for one in found if one.message_type == "assistant_message"]
