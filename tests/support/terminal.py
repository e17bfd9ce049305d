"""Temporal as a person at a terminal sees it: through its own CLI."""

import json
import os
import shlex
import subprocess
from typing import Any

from letta_client.types import AgentState

from server.up.embedded_temporal import find_binary
from tests.support.product import Product

PATIENCE_S = 15.0
"""How long a person waits for a command, and for a Temporal that went away for ever."""


def run_in_shell(
    server: Product, script: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run shell commands as a person does who has set `TEMPORAL_ADDRESS`.

    Raises:
        TimeoutExpired: After `PATIENCE_S`.
    """
    env = os.environ | {
        "TEMPORAL_ADDRESS": str(server.state["temporal_address"]),
        "PATH": f"{find_binary().parent}{os.pathsep}{os.environ['PATH']}",
        **variables,
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def temporal(server: Product, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `temporal` with these words behind it."""
    return run_in_shell(server, shlex.join(["temporal", *words]))


def update(server: Product, conversation_id: str, name: str, **argument: Any) -> dict[str, Any]:
    """What an update answers.

    Raises:
        AssertionError: It was refused, in these words.
    """
    done = temporal(
        server,
        *("workflow", "update", "execute", "--workflow-id", conversation_id, "--name", name),
        *("--input", json.dumps(argument), "--output", "json"),
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


def signal(server: Product, conversation_id: str, name: str, *inputs: str) -> None:
    """Send a signal with these inputs, each in JSON."""
    given = [word for one in inputs for word in ("--input", one)]
    done = temporal(
        server, "workflow", "signal", "--workflow-id", conversation_id, "--name", name, *given
    )
    assert done.returncode == 0, done.stderr


def waiting(server: Product, agent: AgentState) -> list[Any]:
    """The memo `pending_approval` of the agent's workflows that the list shows as waiting."""
    status = "RunStatus = 'requires_approval' AND ExecutionStatus = 'Running'"
    query = f"{status} AND AgentId = '{agent.id}'"
    return [memo_of(one) for one in list_workflows(server, query)]


def waiting_if_up(server: Product, agent: AgentState) -> list[Any] | None:
    """The same; None while Temporal is on its way back."""
    try:
        return waiting(server, agent)
    except AssertionError:
        return None


def list_workflows(server: Product, query: str) -> list[dict[str, Any]]:
    """Executions as the list shows them, without asking the workflow."""
    done = temporal(server, "workflow", "list", "--query", query, "--output", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def memo_of(execution: dict[str, Any]) -> Any:
    """What an execution in a list says about what it waits for."""
    return execution.get("memo", {}).get("fields", {}).get("pending_approval")


def history_of(server: Product, conversation_id: str) -> str:
    """The newest execution's history, with every payload readable."""
    done = temporal(
        server, "workflow", "show", "--workflow-id", conversation_id, "--output", "json"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
