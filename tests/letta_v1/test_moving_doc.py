"""Every command of docs/moving.md, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from letta_client import Letta

from tests.letta_v1.moving import V1_KEY
from tests.letta_v1.rows import V1
from tests.letta_v1.sealed import sealed
from tests.support.approvals import ask, guarded_agent, request_of
from tests.support.product import REPOSITORY, Product

DOC = (REPOSITORY / "docs" / "moving.md").read_text()
# What takes agents out is tried where `o export` is: tests/api/test_export.py.
WHERE, DRY, MOVE, WITH_KEY, AGAIN, _OUT, *MORE = re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL)
V1_IN_DOC = "postgresql://letta:letta@localhost:5432/letta"


@pytest.fixture
def agent_id(v1: V1) -> str:
    """An agent of V1 with a secret."""
    agent = v1.add_agent("ada")
    v1.add("agent_environment_variables", agent_id=agent, key="TOKEN", value_enc=sealed("deep"))
    return agent


def in_the_readers_shell(
    server: Product, v1: V1, place: Path, commands: str
) -> subprocess.CompletedProcess[str]:
    assert V1_IN_DOC in WHERE
    script = WHERE.replace(V1_IN_DOC, f"'{v1.url}'") + commands
    assert ".venv/bin/o " in commands
    script = script.replace(".venv/bin/o ", f"{sys.executable} -m server.cli ")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=place,
        env=server.env | {"O_DATA_DIR": str(server.data_dir), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def secrets_of(client: Letta, agent_id: str) -> dict[str | None, str | None]:
    agent = client.agents.retrieve(agent_id, include=["agent.secrets"])
    return {one.key: one.value for one in agent.secrets or ()}


def test_the_commands_do_what_the_document_says(
    server: Product, client: Letta, v1: V1, agent_id: str, tmp_path: Path
) -> None:
    (tmp_path / "v1-key").write_text(f"{V1_KEY}\n")
    assert not MORE, "a command that nobody tries"
    there = "SELECT count(*) FROM agents WHERE id = %s"
    dry = in_the_readers_shell(server, v1, tmp_path, DRY)
    assert dry.returncode == 0, dry.stderr
    assert server.query(there, agent_id) == [(0,)]
    done = in_the_readers_shell(server, v1, tmp_path, MOVE)
    assert done.returncode == 0, done.stderr
    assert f"TOKEN of {agent_id}" in done.stdout
    assert secrets_of(client, agent_id) == {}
    done = in_the_readers_shell(server, v1, tmp_path, WITH_KEY)
    assert done.returncode == 0, done.stderr
    assert secrets_of(client, agent_id) == {"TOKEN": "deep"}
    client.agents.update(agent_id, name="changed here")
    done = in_the_readers_shell(server, v1, tmp_path, AGAIN)
    assert done.returncode == 0, done.stderr
    assert client.agents.retrieve(agent_id).name == "ada", "--overwrite"
    assert secrets_of(client, agent_id) == {"TOKEN": "deep"}


def test_the_python_program_hears_from_every_agent(
    server: Product, client: Letta, v1: V1, agent_id: str, tmp_path: Path
) -> None:
    for agent in client.agents.list(limit=1000):
        client.agents.delete(agent.id)
    assert in_the_readers_shell(server, v1, tmp_path, MOVE).returncode == 0
    request_of(ask(client, guarded_agent(client)))
    (program,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    assert "http://127.0.0.1:8283" in program
    script = tmp_path / "program.py"
    script.write_text(program.replace("http://127.0.0.1:8283", server.url))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    waits, answers = sorted(done.stdout.splitlines(), reverse=True)
    assert answers.startswith("ada · ")
    assert waits.startswith("guarded · ")
    assert "PENDING_APPROVAL" in waits
