"""`o secrets rotate`: everything comes under a new key while the server runs, whatever happens."""

import asyncio
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from letta_client import Letta

from o.ids import DEFAULT_ORGANIZATION_ID, new_id
from o.secrets import Keyring, names_of
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database, libpq_url
from o.storage.secret_columns import SEALED
from o.storage.worker_requests import WorkerRequest, add_worker_request, finish_worker_request
from server.doctor import Finding, examine
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE

MANY = 3_000
INCLUDE: Any = ["agent.secrets"]


def start(server: Product, *arguments: str, **more: str) -> "subprocess.Popen[str]":
    places = {"O_DATA_DIR": str(server.data_dir), "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [sys.executable, "-m", "server.cli", "secrets", *arguments],
        cwd=REPOSITORY,
        env=server.env | places | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def secrets(server: Product, *arguments: str, **more: str) -> str:
    """What it says. It ends with 1 where a secret is left, as one that another test damaged."""
    process = start(server, *arguments, **more)
    said, _ = process.communicate(timeout=180)
    assert process.returncode in (0, 1), said
    return said


def keyring(server: Product) -> Keyring:
    return Keyring(server.data_dir)


def under(server: Product, config_id: str) -> dict[str, int]:
    """How many variables of a configuration are under each key."""
    rows = server.query(
        "SELECT split_part(value, ':', 2), count(*) FROM tool_variables "
        "WHERE sandbox_config_id = %s GROUP BY 1",
        config_id,
    )
    return dict(rows)


@pytest.fixture
def config_id(client: Letta, server: Product) -> Any:
    """A sandbox configuration with many variables, which no tool of another test is to see."""
    http: Any = client
    made = http.post("/v1/sandbox-config/", cast_to=object, body={"config": {}})
    # There is one of a type, so it may be another test's, with what that one left in it.
    server.query("DELETE FROM tool_variables WHERE sandbox_config_id = %s", made["id"])
    own = keyring(server)
    now = datetime.now(UTC)
    copying = (
        "COPY tool_variables (id, organization_id, key, value, sandbox_config_id, created_at, "
        "updated_at) FROM STDIN"
    )
    with (
        psycopg.connect(libpq_url(server.state["database_url"])) as connection,
        connection.cursor().copy(copying) as copy,
    ):
        for n in range(MANY):
            id_ = new_id("sandbox-env")
            sealed = own.encrypt(f"value {n}", of=f"{id_}/value")
            row = (id_, DEFAULT_ORGANIZATION_ID, f"V{n}", sealed, made["id"], now, now)
            copy.write_row(row)
    yield made["id"]
    server.query("DELETE FROM tool_variables WHERE sandbox_config_id = %s", made["id"])
    server.query("DELETE FROM sandbox_configs WHERE id = %s", made["id"])


def values(server: Product, config_id: str) -> list[str]:
    own = keyring(server)
    rows = server.query(
        "SELECT id, value FROM tool_variables WHERE sandbox_config_id = %s", config_id
    )
    return sorted(own.decrypt(value, of=f"{id_}/value") for id_, value in rows)


def test_a_rotation_that_is_killed_goes_on_where_it_was_and_the_server_serves_meanwhile(
    server: Product, client: Letta, config_id: str
) -> None:
    agent = client.agents.create(model=HANDLE, secrets={"TOWN": "berlin"})
    (old,) = under(server, config_id)
    killed = start(server, "rotate", "--new-key")
    try:
        eventually(lambda: len(under(server, config_id)) == 2, what="a part under the new key")
    finally:
        killed.kill()
        killed.wait(30)
    new, *_ = keyring(server).names()
    part = under(server, config_id)
    found = examine(Settings(data_dir=server.data_dir), ProviderSettings())
    assert [one for one in found if "stored secrets are under an" in one.what]
    assert 0 < part[new] < MANY
    assert part[new] + part[old] == MANY

    # What is changed while it goes on is what stands at the end.
    with ThreadPoolExecutor(1) as pool:
        rotating = pool.submit(secrets, server, "rotate")
        for n in range(20):
            client.agents.update(agent.id, secrets={"TOWN": f"number {n}", f"MORE{n}": "x"})
        said = rotating.result(180)
    assert "tool_variables.value: " in said
    assert under(server, config_id) == {new: MANY}
    assert values(server, config_id) == sorted(f"value {n}" for n in range(MANY))
    shown = client.agents.retrieve(agent.id, include=INCLUDE).secrets or []
    assert {one.key: one.value for one in shown} == {"TOWN": "number 19", "MORE19": "x"}
    assert re.search(rf"^{old} +older +0$", said, re.MULTILINE)

    assert keyring(server).names()[:2] == [new, old]
    recorded = server.query("SELECT target_id FROM audit_records WHERE what = 'rotate_secrets'")
    assert (new,) in recorded


def test_a_key_is_forgotten_only_when_nothing_needs_it(server: Product, client: Letta) -> None:
    keyring(server).encrypt("make the file", of="nothing")
    agent = client.agents.create(model=HANDLE, secrets={"TOWN": "berlin"})
    old, *_ = keyring(server).names()
    keyring(server).add_key()
    assert "try again in" in secrets(server, "forget")
    file = server.data_dir / "encryption-key"
    os.utime(file, (1, 1))
    assert f"kept, since secrets are under it: {old}" in secrets(server, "forget")
    assert old in keyring(server).names()
    said = secrets(server, "rotate", "--check")
    assert re.search(rf"^{old} +older +[1-9]", said, re.MULTILINE)
    secrets(server, "rotate")
    os.utime(file, (1, 1))
    assert f"forgotten: {old}" in secrets(server, "forget")
    assert old not in keyring(server).names()
    shown = client.agents.retrieve(agent.id, include=INCLUDE).secrets or []
    assert [one.value for one in shown] == ["berlin"]


def test_keys_that_the_setting_names_are_forgotten_there(server: Product, tmp_path: Path) -> None:
    given = {"O_ENCRYPTION_KEY": f"{'n' * 32},{'o' * 32}", "O_TEMPORAL_CODEC": "encrypt"}
    said = secrets(server, "forget", **given)
    last = said.splitlines()[-1]
    old = names_of(["o" * 32])[0]
    assert re.search(r"^\d+ executions of Temporal are open\..* may need an older", said, re.M)
    assert last.startswith(f"o: the keys are those of O_ENCRYPTION_KEY: take {old} out there")
    alone = {"O_ENCRYPTION_KEY": "n" * 32, "O_DATA_DIR": str(tmp_path)}
    said = secrets(server, "forget", **alone, DATABASE_URL=server.state["database_url"])
    assert "nothing to forget: O_ENCRYPTION_KEY has no older key" in said


def test_a_new_key_of_the_setting_is_known_everywhere_before_it_encrypts(server: Product) -> None:
    """As docs/security.md has it: a process that does not know it could not read the others'."""
    said = secrets(server, "rotate", "--new-key", O_ENCRYPTION_KEY="o" * 32)
    assert "in front" not in said
    assert said.index("`old,new`") < said.index("`new,old`") < said.index("`o secrets rotate`")


async def test_every_column_that_holds_ciphertext_is_one_that_rotation_knows(
    server: Product, client: Letta
) -> None:
    """Looks at all that the product of these tests has stored, in every column of every table."""
    client.agents.create(model=HANDLE, secrets={"TOWN": "berlin"})
    http: Any = client
    name = f"sealed-{os.getpid()}"
    made = http.post(
        "/v1/providers/",
        cast_to=object,
        body={
            "name": name,
            "provider_type": "bedrock",
            "api_key": "secret",
            "access_key": "key",
            "region": "eu-central-1",
        },
    )
    mcp = client.mcp_servers.create(
        server_name=name,
        config={
            "mcp_server_type": "streamable_http",
            "server_url": "http://127.0.0.1:9/mcp",
            "auth_token": "secret",
        },
    )
    database, own = Database(server.state["database_url"]), keyring(server)
    request = WorkerRequest(new_id("request"), DEFAULT_ORGANIZATION_ID, "none", {"a": 1})
    async with database.begin() as connection:
        await add_worker_request(connection, own, request)
        await finish_worker_request(connection, own, request.id, {"b": 2})
    await database.close()
    secrets(server, "rotate")
    settings = Settings(data_dir=server.data_dir, sandbox_backend="unsafe-subprocess")
    looked = await asyncio.to_thread(examine, settings, ProviderSettings())
    columns = server.query(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'ARRAY', 'bytea')"
    )
    found = {
        f"{table}.{column}"
        for table, column in columns
        if server.query(
            f'SELECT 1 FROM "{table}" WHERE "{column}"::text ~ \'o1:[0-9a-f]{{16}}:\' LIMIT 1'
        )
    }
    entrusted = sum(
        server.query(f"SELECT count({one.column}) FROM {one.table}")[0][0]
        for one in SEALED
        if one.table != "worker_requests"  # what processes ask of each other is nobody's secret
    )
    http.delete(f"/v1/providers/{made['id']}", cast_to=object)
    client.mcp_servers.delete(str(mcp.id))
    assert found == {str(one) for one in SEALED}
    assert Finding("ok", f"{entrusted} stored secrets can be read") in looked
