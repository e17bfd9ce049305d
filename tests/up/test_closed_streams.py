"""Commands whose output is closed, or read by nobody any more: their work is done all the same."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.product import REPOSITORY, Product
from tests.support.provider import HANDLE
from tests.up.test_ingest_command import names

PRINTING = [
    "status",
    "doctor",
    "key list",
    "migrate",
    "migrate --plan",
    "import letta --only list",
    "--help",
]
WAYS = {"closed": ">&-", "all closed": "<&- >&- 2>&-", "full": ">/dev/full"}


def run(server: Product, *arguments: str | Path, to: str) -> subprocess.CompletedProcess[str]:
    """A command with its output led away; `left`: into a pipe that nobody reads."""
    command = shlex.join([sys.executable, "-m", "server.cli", *map(str, arguments)])
    env = server.env | {"O_DATA_DIR": str(server.data_dir), "O_BASE_URL": server.url}
    env |= {"DATABASE_URL": server.state["database_url"], "O_SANDBOX_BACKEND": "unsafe-subprocess"}
    env |= {"TEMPORAL_ADDRESS": server.state["temporal_address"]}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            ["sh", "-c", f"exec {command} {WAYS.get(to, '')}"],
            cwd=REPOSITORY,
            env=env,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize("command", PRINTING)
def test_what_is_printed_for_nobody_changes_no_exit_status(server: Product, command: str) -> None:
    for to in ("left", "closed", "all closed"):
        done = run(server, *command.split(), to=to)
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        assert done.returncode == 0, (to, done.stderr)


@pytest.mark.parametrize("command", ["status", "import letta --only list", "--help"])
def test_output_that_should_have_been_kept_and_is_lost_is_told_of(
    server: Product, command: str
) -> None:
    done = run(server, *command.split(), to="full")
    assert done.returncode == 1
    assert done.stderr == "o: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("to", ["left", "closed", "all closed", "full"])
def test_files_and_agents_are_all_there_though_nobody_reads_of_it(
    client: Letta, server: Product, tmp_path: Path, to: str
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for n in range(8):
        (documents / f"{n}.md").write_text(f"text {n}")
    folder = new_id("handbook")
    done = run(server, "ingest", folder, documents, to=to)
    assert done.returncode == int(to == "full"), done.stderr
    assert "Traceback" not in done.stderr
    assert names(client, folder) == [f"{n}.md" for n in range(8)]
    agent = client.agents.create(name=new_id("exported"), model=HANDLE)
    done = run(server, "export", "agent", agent.id, "--to", tmp_path / "out", to=to)
    assert done.returncode == int(to == "full"), done.stderr
    assert list((tmp_path / "out").glob("*/*.af"))


@pytest.mark.parametrize("to", ["left", "closed", "full"])
def test_a_backup_or_a_key_that_nobody_gets_is_an_error_in_a_line(server: Product, to: str) -> None:
    done = run(server, "backup", "-", "--quiet", to=to)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(
        "o: standard output is closed" if to == "closed" else "o: the backup cannot be written"
    )
    done = run(server, "key", "create", "lost", to=to)
    *_, line = done.stderr.splitlines()
    assert done.returncode == 1
    assert "nobody would see the key" in line or "nobody has seen it" in line


def test_a_backup_into_a_file_is_whole_though_all_streams_are_closed(
    server: Product, tmp_path: Path
) -> None:
    place = tmp_path / "o.backup"
    assert run(server, "backup", place, to="all closed").returncode == 0
    assert run(server, "restore", "--check", place, to="all closed").returncode == 0
