"""Every command of docs/approvals.md, run as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from letta_client import Letta

from server.up.embedded_temporal import find_binary
from tests.support.approvals import INSERT, ask, await_rest, guarded_agent, memory_of, request_of
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import do, say
from tests.support.terminal import run_in_shell

DOC = (REPOSITORY / "docs" / "approvals.md").read_text()
WHERE, *COMMANDS = re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL)
ENDS = ["shown", "approved", "denied", "approved", "approved", "cancelled", "cancelled"]
"""What each block of commands leads to, in the order of the document."""


@pytest.mark.parametrize(("command", "end"), list(zip(COMMANDS, ENDS, strict=True)))
def test_a_command_does_what_the_document_says(
    server: Product, client: Letta, command: str, end: str
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    run = client.runs.retrieve(request.run_id)
    thread, call_id = run.conversation_id or "", request.tool_call.tool_call_id
    eventually(lambda: thread in list_of(server), what="the list")
    variables = {
        "CONVERSATION": thread,
        "CALL": call_id,
        "REQUEST": request.id,
        "RUN": run.id,
    }
    done = in_the_readers_shell(server, command, **variables)
    assert done.returncode == 0, done.stderr
    if end == "shown":
        assert thread in done.stdout
        assert call_id in done.stdout
        assert client.agents.retrieve(agent.id).pending_approval is not None
        return
    await_rest(client, agent)
    assert ("likes tea" in memory_of(client, agent)) == (end == "approved")
    (returned,) = client.agents.messages.list(
        agent.id, include_return_message_types=["tool_return_message"]
    ).items
    assert ("Ask me first." in returned.tool_return) == (end == "denied")
    assert client.runs.retrieve(run.id).status == (
        "cancelled" if end == "cancelled" else "completed"
    )


def list_of(server: Product) -> str:
    return in_the_readers_shell(server, COMMANDS[0].splitlines()[0]).stdout


def in_the_readers_shell(
    server: Product, command: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it behind what the document says to begin with, and with no other address to go by."""
    where = WHERE
    for old, new in {
        ".venv/bin/temporal": shlex.quote(str(find_binary())),
        ".o/up.json": shlex.quote(str(server.data_dir / "up.json")),
    }.items():
        assert old in where
        where = where.replace(old, new)
    variables["TEMPORAL_ADDRESS"] = "127.0.0.1:9"
    return run_in_shell(server, f"{where}\n{command}", **variables)


def test_the_python_program_answers_until_nothing_waits(server: Product, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    asked, said = '"Remember that I like tea."', do(INSERT, INSERT, say("I will remember."))
    for old, new in {"http://127.0.0.1:8283": server.url, asked: repr(said)}.items():
        assert old in program
        program = program.replace(old, new)
    script = tmp_path / "answers.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    *calls, last = done.stdout.splitlines()
    assert [line.partition("(")[0] for line in calls] == ["memory_insert"] * 2
    assert last == "I will remember."
