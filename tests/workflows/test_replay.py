"""Stored histories replay: an execution that is open anywhere can go on with this code."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from server.worker import WORKFLOW_RUNNER
from tests.workflows.plays import PLAYS
from tests.workflows.record import HISTORIES, KINDS
from workflows.callback import CallbackWorkflow
from workflows.conversation import ConversationWorkflow
from workflows.worker_request import WorkerRequestWorkflow

FILES = sorted(HISTORIES.glob("*.json"))


def test_every_kind_of_history_is_stored() -> None:
    assert {file.stem.rpartition("-")[0] for file in FILES} >= {*KINDS, *PLAYS}
    assert isinstance(WORKFLOW_RUNNER, UnsandboxedWorkflowRunner)


@pytest.mark.parametrize(
    "runner", [WORKFLOW_RUNNER, SandboxedWorkflowRunner()], ids=["as in production", "sandboxed"]
)
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
async def test_a_stored_history_replays(file: Path, runner: WorkflowRunner) -> None:
    stored = json.loads(file.read_text())
    history = WorkflowHistory.from_json(stored["id"], stored["history"])
    replayer = Replayer(
        workflows=[ConversationWorkflow, CallbackWorkflow, WorkerRequestWorkflow],
        workflow_runner=runner,
    )
    await replayer.replay_workflow(history)
