"""From nothing to two organizations: every command of docs/operations.md on that, as it stands."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from o.storage.database import libpq_url
from server.up.embedded_postgres import find_binaries
from tests.support.ports import own_port
from tests.support.product import REPOSITORY, Product

DOC = (REPOSITORY / "docs" / "operations.md").read_text()
WALK = DOC.split("## From nothing to two organizations\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL)
_DATABASE = "postgresql://o:secret@127.0.0.1:5432/o"
_SUPERUSER = "sudo -u postgres psql"
_TEMPORAL = "127.0.0.1:7233"
_API = "http://127.0.0.1:8283"
_MARK = "--- a block is done ---"


@pytest.fixture
def socket(server: Product) -> str:
    """Where the PostgreSQL of the tests is reached, in which nothing is left of an earlier walk."""
    server.query("DROP DATABASE IF EXISTS walk WITH (FORCE)")
    server.query("DROP ROLE IF EXISTS walker")
    known = libpq_url(server.state["database_url"])
    with psycopg.connect(known) as connection:
        socket, port = connection.info.host, connection.info.port
    assert port == 5432, "what is after & in an address would need quotes"
    return socket


def walk(commands: str, place: Path, env: dict[str, str]) -> list[str]:
    """What each block prints in a reader's shell; nothing that it started is left."""
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=place,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, complained = shell.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        pytest.fail("".join(map(str, shell.communicate())))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, printed + complained
    return printed.split(f"{_MARK}\n")


def two_answers(printed: str) -> list[Any]:
    """The two values in JSON that stand one behind the other."""
    first, end = json.JSONDecoder().raw_decode(printed)
    return [first, json.loads(printed[end:])]


def organizations_in(records: list[dict[str, Any]]) -> set[str]:
    return {record["organization_id"] for record in records}


def test_a_new_user_gets_from_nothing_to_two_organizations(
    server: Product, socket: str, tmp_path: Path
) -> None:
    # What a shell that fails has started would keep its pipes open.
    commands = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    commands += "".join(f"{block}echo '{_MARK}'\n" for block in BLOCKS)
    api = f"http://127.0.0.1:{(port := own_port())}"
    for said, here in (
        (_SUPERUSER, f"{find_binaries()}/psql -h {socket} -U o -d postgres"),
        ("CREATE USER o ", "CREATE USER walker "),
        ("CREATE DATABASE o OWNER o", "CREATE DATABASE walk OWNER walker"),
        ("-d o -c", "-d walk -c"),
        (_DATABASE, f"postgresql://walker@/walk?host={socket}"),
        (_TEMPORAL, server.state["temporal_address"]),
        (_API, api),
    ):
        assert said in commands
        commands = commands.replace(said, here)
    env = server.env | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "O_DATA_DIR": str(tmp_path / "data"),
        "O_PORT": str(port),
        "O_TASK_QUEUE": "walk",
    }
    made, settings, started, organizations, talk, record, measures, _saved, stopped, rest = walk(
        commands, tmp_path, env
    )
    assert made.split("\n") == ["CREATE ROLE", "CREATE DATABASE", "CREATE EXTENSION", ""]
    assert not settings
    assert (tmp_path / "o.env").stat().st_mode & 0o777 == 0o600
    assert "schema: empty -> " in started
    acme, globex = organizations.splitlines()[-2:]
    assert acme.endswith("Globex's first")
    assert globex.endswith("Acme's first")
    assert "You said: Hello!" in talk
    assert talk.endswith("404\n")
    assert [len(organizations_in(listed)) for listed in two_answers(record)] == [1, 2]
    assert 'o_process_up{process="worker' in measures
    assert "Temporal     answers" in measures
    assert (tmp_path / "o.backup").stat().st_size > 0
    assert stopped is not None
    assert not rest
