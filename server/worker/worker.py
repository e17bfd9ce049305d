"""The worker: the composition root, and the only place that picks concrete dependencies."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.approvals import ApprovalActivities
from activities.callbacks import CallbackActivities
from activities.compact import CompactActivities
from activities.embedding.messages import MessageEmbeddingActivities
from activities.embedding.passages import EmbeddingActivities
from activities.ingestion import IngestionActivities
from activities.model_calls import ModelCalls
from activities.runs import RunActivities
from activities.step.traces import StepTraces
from activities.steps import StepActivities, StepLimits
from activities.tools import ToolActivities
from activities.worker_requests import WorkerRequestActivities
from api.wire.batches import batch_callback_body
from api.wire.callbacks import callback_body
from migrations.schema import wait_for_schema
from o.domain.llm import LanguageModel
from o.domain.runs import StopReason
from o.files.processes import FileProcesses
from o.llm.models import Models
from o.llm.providers.prices import Prices
from o.llm.providers.provider_rows import ProviderRows
from o.llm.recorder import WireRecorder
from o.llm.requests.learnt import Learnt
from o.metrics.measures import begin
from o.metrics.own import OwnMeasures, nothing
from o.outbound import OutboundGuard
from o.price_file import read_prices
from o.process_memory import spare_collector
from o.secrets import Keyring
from o.settings.all import STARTUP_PATIENCE_S, Settings
from o.settings.providers import ProviderSettings
from o.storage.availability import until_shutdown
from o.storage.database import Database
from o.storage.model_lessons import StoredLessons
from o.storage.providers import provider_reader
from o.storage.search.embedded import MESSAGES
from o.storage.search.space_index import make_space_index
from o.storage.worker_requests import ASK_MODEL, COMPACT
from o.temporal.connection import connect_or_explain
from sandbox.protocol import Sandbox
from server.sweep.sweeper import Sweeper
from server.worker.compaction import compacting
from server.worker.embedding import WorkerEmbedding
from server.worker.measures import worker_measures
from server.worker.outside_work import outside_work
from server.worker.queues import side_worker, turn_worker, worker_identity
from server.worker.sandboxes import sandbox_of_worker
from server.worker.temporal_measures import TemporalMeasures
from workflows.options import (
    callback_queue,
    control_queue,
    embedding_queue,
    file_queue,
    request_queue,
)

_log = logging.getLogger(__name__)
_ARCHIVES_AT_ONCE = 4
_PROVIDERS_AT_ONCE = 16
"""So many providers may have all the calls under way that one of them may: they come and go, but a
worker's slots are counted when it starts."""

_SPARE_SLOTS = 100
"""Slots that model calls cannot take: for tools, and to find that there is no room for a call."""


async def run_worker(
    settings: Settings,
    providers: ProviderSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Poll until `stop` is set, then let running activities end for `drain_s` seconds.

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
    embedding = WorkerEmbedding(settings, providers, database)
    await model.warm_up()
    spare_collector()
    temporal = TemporalMeasures() if settings.shows_measures else None
    of_temporal = nothing if temporal is None else temporal.text
    runtime = None if temporal is None else temporal.runtime
    starting = asyncio.create_task(_connected(database, settings, runtime))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        starting.cancel()
    else:
        client = await starting
        begin(StopReason)
        sweeper = _sweeper(settings, database, client, embedding)
        async with (
            worker_measures(settings, OwnMeasures(database.pool_standing, of_temporal)),
            sandbox_of_worker(settings, database, worker_identity(settings)) as sandbox,
            _polling(
                settings,
                client,
                database,
                model,
                embedding,
                compacting(settings, providers, database, model),
                calls + _SPARE_SLOTS,
                sandbox,
            ),
        ):
            sweeping = asyncio.create_task(until_shutdown(database, sweeper.run))
            learning = asyncio.create_task(learnt.keep_fresh(interval_s=settings.sweep_interval_s))
            on_ready()
            _log.info("worker polls", extra={"identity": worker_identity(settings)})
            await stopping
            sweeping.cancel()
            learning.cancel()
    await embedding.close()
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
    guard = OutboundGuard(settings.outbound_allow)
    return Models(
        ProviderRows(providers, keyring, provider_reader(database), guard),
        timeout_s=settings.model_timeout_s,
        calls_at_once=settings.model_calls,
        calls_in_all=calls_in_all,
        learnt=learnt,
        prices=Prices(read_prices(settings.prices) if settings.prices else {}),
    )


def _sweeper(
    settings: Settings, database: Database, client: Client, embedding: WorkerEmbedding
) -> Sweeper:
    return Sweeper(
        database,
        client,
        settings.task_queue,
        interval_s=settings.sweep_interval_s,
        retention=settings.retention,
        has_embedding=embedding.default is not None,
        block_versions=settings.block_versions,
        message_model=embedding.of_messages(settings.message_embedding),
    )


@asynccontextmanager
async def _polling(
    settings: Settings,
    client: Client,
    database: Database,
    model: LanguageModel,
    embedding: WorkerEmbedding,
    compaction: CompactActivities,
    slots: int,
    sandbox: Sandbox,
) -> AsyncIterator[None]:
    """Poll every queue while the block lasts; see `workflows.options` for what goes where."""
    callbacks = CallbackActivities(
        database,
        callback_body,
        batch_callback_body,
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
    outside = outside_work(settings, client, database, keyring, sandbox, embedding, slots=slots)
    indexes = partial(make_space_index, database)
    of_messages = partial(make_space_index, database, kept=MESSAGES)
    asking = ModelCalls(model, database, attempts=settings.model_attempts)
    handlers = {**outside.handlers, COMPACT: compaction.serve, ASK_MODEL: asking.serve}
    served = WorkerRequestActivities(database, keyring, handlers).serve_request
    embed_soon = embedding.starter(client, settings.task_queue)
    of_turns: list[Callable[..., Any]] = [
        _steps(settings, database, model).take_step,
        ToolActivities(
            database,
            outside.runners,
            enforce_block_limit=settings.enforces_block_limit,
            embed_soon=embed_soon,
        ).run_tool,
        compaction.compact,
        served,
        approvals.begin_answer,
        # What was scheduled before these had queues of their own comes here.
        *control,
        callbacks.send_callback,
    ]
    async with (
        side_worker(settings, client, control_queue(settings.task_queue), control),
        side_worker(
            settings, client, callback_queue(settings.task_queue), [callbacks.send_callback]
        ),
        side_worker(settings, client, request_queue(settings.task_queue), [served]),
        side_worker(
            settings,
            client,
            embedding_queue(settings.task_queue),
            [
                EmbeddingActivities(database, embedding.models, indexes).embed_passages,
                MessageEmbeddingActivities(
                    database, embedding.patient_models, of_messages
                ).embed_messages,
            ],
            slots=_ARCHIVES_AT_ONCE,
        ),
        side_worker(
            settings,
            client,
            file_queue(settings.task_queue),
            [
                IngestionActivities(
                    database, _reader(settings), embed_soon, most_deaths=settings.crash_attempts
                ).ingest_file
            ],
            slots=settings.files_at_once,
        ),
        turn_worker(settings, client, of_turns, slots),
    ):
        yield


def _reader(settings: Settings) -> FileProcesses:
    return FileProcesses(
        timeout_s=settings.parse_timeout_s,
        memory_mb=settings.parse_memory_mb,
        most_chars=settings.parse_limit_chars,
    )


def _steps(settings: Settings, database: Database, model: LanguageModel) -> StepActivities:
    limits = StepLimits(
        model_attempts=settings.model_attempts,
        crash_attempts=settings.crash_attempts,
        rest_conversations=settings.provider_rest_conversations,
        approval_timeout_s=settings.approval_timeout_s,
    )
    traces = StepTraces(database, WireRecorder(), settings.traces)
    return StepActivities(model, database, limits, traces)


async def _connected(database: Database, settings: Settings, runtime: Runtime | None) -> Client:
    """Wait for the database, its schema and Temporal, which may start at the same time as we."""
    await wait_for_schema(database, patience_s=STARTUP_PATIENCE_S)
    return await connect_or_explain(settings, patience_s=STARTUP_PATIENCE_S, runtime=runtime)
