"""The worker: the composition root, and the only place that picks concrete dependencies."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.approvals import ApprovalActivities
from activities.callbacks import CallbackActivities
from activities.runs import RunActivities
from activities.step.traces import StepTraces
from activities.steps import StepActivities, StepLimits
from activities.tools import ToolActivities
from activities.worker_requests import WorkerRequestActivities
from api.wire.callbacks import callback_body
from migrations.schema import wait_for_schema
from o.domain.llm import LanguageModel
from o.llm.models import Models
from o.llm.prices import Prices
from o.llm.provider_rows import ProviderRows
from o.llm.recorder import WireRecorder
from o.llm.requests.learnt import Learnt
from o.outbound import OutboundGuard
from o.price_file import read_prices
from o.process_memory import spare_collector
from o.secrets import Keyring
from o.settings import STARTUP_PATIENCE_S, ProviderSettings, Settings
from o.storage.availability import until_shutdown
from o.storage.database import Database
from o.storage.model_lessons import StoredLessons
from o.storage.providers import provider_reader
from o.temporal.connection import connect_or_explain
from sandbox.protocol import Sandbox
from server.outside_work import outside_work
from server.sandboxes import sandbox_of_worker
from server.sweep.sweeper import Sweeper
from workflows.callback import CallbackWorkflow
from workflows.conversation import ConversationWorkflow
from workflows.options import callback_queue, control_queue, request_queue
from workflows.worker_request import WorkerRequestWorkflow

_log = logging.getLogger(__name__)
_GRACE_S = 3.0
_SIDE_SLOTS = 50
_PROVIDERS_AT_ONCE = 16
"""So many providers may have all the calls under way that one of them may: they come and go, but a
worker's slots are counted when it starts."""

_SPARE_SLOTS = 100
"""Slots that model calls cannot take: for tools, and to find that there is no room for a call."""

# One runner for workers and for replays in tests: workflow code imports no more than the
# standard library, temporalio and our own data, and the sandbox would cost half of each task.
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()


async def run_worker(
    settings: Settings,
    providers: ProviderSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Poll until `stop` is set, then let running activities end for a few seconds.

    Raises:
        Unavailable: Database, schema or Temporal did not come up within two minutes.
        Conflict: The schema is none that this release can work with.
    """
    database_url = settings.database_url
    database = Database(
        database_url.get_secret_value() if database_url else "",
        pool_size=settings.database_pool,
        name="o worker",
    )
    calls = settings.model_calls * _PROVIDERS_AT_ONCE
    learnt = Learnt(StoredLessons(database))
    model = _models(settings, providers, database, learnt, calls)
    await model.warm_up()
    spare_collector()
    starting = asyncio.create_task(_connected(database, settings))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        starting.cancel()
    else:
        client = await starting
        sweeper = _sweeper(settings, database, client)
        async with (
            sandbox_of_worker(settings, database, worker_identity(settings)) as sandbox,
            _polling(settings, client, database, model, calls + _SPARE_SLOTS, sandbox),
        ):
            sweeping = asyncio.create_task(until_shutdown(database, sweeper.run))
            learning = asyncio.create_task(learnt.keep_fresh(interval_s=settings.sweep_interval_s))
            on_ready()
            _log.info("worker polls", extra={"identity": worker_identity(settings)})
            await stopping
            sweeping.cancel()
            learning.cancel()
    await model.close()
    await database.close()


def _models(
    settings: Settings,
    providers: ProviderSettings,
    database: Database,
    learnt: Learnt,
    calls_in_all: int,
) -> Models:
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    return Models(
        ProviderRows(providers, keyring, provider_reader(database)),
        timeout_s=settings.model_timeout_s,
        calls_at_once=settings.model_calls,
        calls_in_all=calls_in_all,
        learnt=learnt,
        prices=Prices(read_prices(settings.prices) if settings.prices else {}),
    )


def _sweeper(settings: Settings, database: Database, client: Client) -> Sweeper:
    return Sweeper(
        database,
        client,
        settings.task_queue,
        interval_s=settings.sweep_interval_s,
        event_retention_h=settings.event_retention_h,
        trace_retention_h=settings.trace_retention_h,
    )


def worker_identity(settings: Settings) -> str:
    """How Temporal names this process; the supervisor gives it, so that it can report a death."""
    return settings.worker_identity or f"worker-{os.getpid()}"


@asynccontextmanager
async def _polling(
    settings: Settings,
    client: Client,
    database: Database,
    model: LanguageModel,
    slots: int,
    sandbox: Sandbox,
) -> AsyncIterator[None]:
    """Poll every queue while the block lasts; see `workflows.options` for what goes where."""
    callbacks = CallbackActivities(
        database,
        callback_body,
        OutboundGuard(settings.outbound_allow),
        attempts=settings.callback_attempts,
    )
    approvals = ApprovalActivities(database, takes_decisions=settings.takes_temporal_decisions)
    runs = RunActivities(database)
    control: list[Callable[..., Any]] = [
        runs.close_run,
        runs.cancel_runs,
        approvals.decide,
        approvals.find_pending,
    ]
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    outside = outside_work(settings, client, database, keyring, sandbox, slots=slots)
    limits = StepLimits(
        model_attempts=settings.model_attempts,
        crash_attempts=settings.crash_attempts,
        rest_conversations=settings.provider_rest_conversations,
        approval_timeout_s=settings.approval_timeout_s,
    )
    traces = StepTraces(database, WireRecorder(), settings.traces)
    served = WorkerRequestActivities(database, keyring, outside.handlers).serve_request
    of_turns: list[Callable[..., Any]] = [
        StepActivities(model, database, limits, traces).take_step,
        ToolActivities(database, outside.runners).run_tool,
        approvals.begin_answer,
        # What was scheduled before these had queues of their own comes here.
        *control,
        callbacks.send_callback,
    ]
    async with (
        _side_worker(settings, client, control_queue(settings.task_queue), control),
        _side_worker(
            settings, client, callback_queue(settings.task_queue), [callbacks.send_callback]
        ),
        _side_worker(settings, client, request_queue(settings.task_queue), [served]),
        _turn_worker(settings, client, of_turns, slots),
    ):
        yield


def _turn_worker(
    settings: Settings, client: Client, activities: Sequence[Callable[..., Any]], slots: int
) -> Worker:
    """The worker that carries the workflows on, and the steps and tools of their turns."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[ConversationWorkflow, CallbackWorkflow, WorkerRequestWorkflow],
        activities=activities,
        workflow_runner=WORKFLOW_RUNNER,
        identity=worker_identity(settings),
        max_cached_workflows=500,
        max_concurrent_activities=slots,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=_GRACE_S),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        workflow_task_executor=ThreadPoolExecutor(max_workers=4),
    )


def _side_worker(
    settings: Settings, client: Client, queue: str, activities: Sequence[Callable[..., Any]]
) -> Worker:
    """A worker in this process for activities that are not to wait for others."""
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        identity=worker_identity(settings),
        max_concurrent_activities=_SIDE_SLOTS,
        max_concurrent_activity_task_polls=2,
        graceful_shutdown_timeout=timedelta(seconds=_GRACE_S),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
    )


async def _connected(database: Database, settings: Settings) -> Client:
    """Wait for the database, its schema and Temporal, which may start at the same time as we."""
    await wait_for_schema(database, patience_s=STARTUP_PATIENCE_S)
    return await connect_or_explain(settings, patience_s=STARTUP_PATIENCE_S)
