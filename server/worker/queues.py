"""The queues that a worker polls: how each is served by Temporal's client."""

import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from o.settings.all import Settings
from server.worker.activity_logs import ActivityLogs
from workflows.callback import CallbackWorkflow
from workflows.conversation import ConversationWorkflow
from workflows.embedding import EmbeddingWorkflow
from workflows.ingestion import IngestionWorkflow
from workflows.message_embedding import MessageEmbeddingWorkflow
from workflows.worker_request import WorkerRequestWorkflow

_SIDE_SLOTS = 50

_BUILD_ID = f"o-server-{version('o-server')}"
"""What Temporal shows; by default a hash of all modules that are loaded, half a worker's start."""

# One runner for workers and for replays in tests: workflow code imports no more than the
# standard library, temporalio and our own data, and the sandbox would cost half of each task.
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()


def worker_identity(settings: Settings) -> str:
    """How Temporal names this process; the supervisor gives it, so that it can report a death."""
    return settings.worker_identity or f"worker-{os.getpid()}@{socket.gethostname()}"


def turn_worker(
    settings: Settings, client: Client, activities: Sequence[Callable[..., Any]], slots: int
) -> Worker:
    """The worker that carries the workflows on, and the steps and tools of their turns."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[
            ConversationWorkflow,
            CallbackWorkflow,
            WorkerRequestWorkflow,
            EmbeddingWorkflow,
            MessageEmbeddingWorkflow,
            IngestionWorkflow,
        ],
        activities=activities,
        workflow_runner=WORKFLOW_RUNNER,
        build_id=_BUILD_ID,
        identity=worker_identity(settings),
        interceptors=[ActivityLogs()],
        max_cached_workflows=500,
        max_concurrent_activities=slots,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_s),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        workflow_task_executor=ThreadPoolExecutor(max_workers=4),
    )


def side_worker(
    settings: Settings,
    client: Client,
    queue: str,
    activities: Sequence[Callable[..., Any]],
    *,
    slots: int = _SIDE_SLOTS,
) -> Worker:
    """A worker in this process for activities that are not to wait for others."""
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        build_id=_BUILD_ID,
        identity=worker_identity(settings),
        interceptors=[ActivityLogs()],
        max_concurrent_activities=slots,
        max_concurrent_activity_task_polls=2,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_s),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
    )
