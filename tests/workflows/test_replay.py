"""Stored histories replay: an execution that is open anywhere can go on with this code."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from server.worker.queues import WORKFLOW_RUNNER
from tests.workflows.plays import PLAYS
from tests.workflows.record import HISTORIES, KINDS
from workflows.callback import CallbackWorkflow
from workflows.conversation import ConversationWorkflow
from workflows.embedding import EmbeddingWorkflow
from workflows.ingestion import IngestionWorkflow
from workflows.message_embedding import MessageEmbeddingWorkflow
from workflows.traces import TurnTraces
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
    await _replay(file, runner)


async def test_histories_replay_where_turns_are_traced() -> None:
    for file in FILES:
        await _replay(file, WORKFLOW_RUNNER, [Traced()])


class Traced(Interceptor):
    """What a worker has of them where a collector is set."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return TurnTraces


async def _replay(
    file: Path, runner: WorkflowRunner, interceptors: Sequence[Interceptor] = ()
) -> None:
    stored = json.loads(file.read_text())
    history = WorkflowHistory.from_json(stored["id"], stored["history"])
    replayer = Replayer(
        workflows=[
            ConversationWorkflow,
            CallbackWorkflow,
            WorkerRequestWorkflow,
            EmbeddingWorkflow,
            IngestionWorkflow,
            MessageEmbeddingWorkflow,
        ],
        workflow_runner=runner,
        interceptors=interceptors,
    )
    await replayer.replay_workflow(history)
