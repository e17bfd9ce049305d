"""What a worker polls: each task queue, and the activities that it takes from it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from temporalio.client import Client

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
from o.domain.archives import Archive
from o.domain.llm import LanguageModel
from o.files.processes import FileProcesses
from o.llm.recorder import WireRecorder
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.search.embedded import MESSAGES
from o.storage.search.space_index import make_space_index
from o.storage.worker_requests import ASK_MODEL, COMPACT
from sandbox.protocol import Sandbox
from server.worker.embedding import WorkerEmbedding
from server.worker.outside_work import outside_work
from server.worker.queues import side_worker, turn_worker
from workflows.options import (
    callback_queue,
    control_queue,
    embedding_queue,
    file_queue,
    request_queue,
)

_ARCHIVES_AT_ONCE = 4

Activity = Callable[..., Any]


@asynccontextmanager
async def polling(
    settings: Settings,
    client: Client,
    database: Database,
    model: LanguageModel,
    embedding: WorkerEmbedding,
    compaction: CompactActivities,
    sandbox: Sandbox,
    *,
    slots: int,
) -> AsyncIterator[None]:
    """Poll every queue while the block lasts; see `workflows.options` for what goes where.

    `slots` is how many activities of turns there may be at once.
    """
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    outside = outside_work(settings, client, database, keyring, sandbox, embedding, slots=slots)
    asking = ModelCalls(model, database, attempts=settings.model_attempts)
    handlers = {**outside.handlers, COMPACT: compaction.serve, ASK_MODEL: asking.serve}
    served = WorkerRequestActivities(database, keyring, handlers).serve_request
    embed_soon = embedding.starter(client, settings.task_queue)
    approvals = ApprovalActivities(database, takes_decisions=settings.takes_temporal_decisions)
    control = _control(database, approvals)
    callback = _callback(settings, database)
    tools = ToolActivities(
        database,
        outside.runners,
        enforce_block_limit=settings.enforces_block_limit,
        embed_soon=embed_soon,
    )
    of_turns: list[Activity] = [
        _steps(settings, database, model).take_step,
        tools.run_tool,
        compaction.compact,
        served,
        approvals.begin_answer,
        # What was scheduled before these had queues of their own comes here.
        *control,
        callback,
    ]
    files = [_ingestion(settings, database, embed_soon)]
    queue = settings.task_queue
    side = partial(side_worker, settings, client)
    async with (
        side(control_queue(queue), control),
        side(callback_queue(queue), [callback]),
        side(request_queue(queue), [served]),
        side(embedding_queue(queue), _vectors(database, embedding), slots=_ARCHIVES_AT_ONCE),
        side(file_queue(queue), files, slots=settings.files_at_once),
        turn_worker(settings, client, of_turns, slots),
    ):
        yield


def _steps(settings: Settings, database: Database, model: LanguageModel) -> StepActivities:
    limits = StepLimits(
        model_attempts=settings.model_attempts,
        crash_attempts=settings.crash_attempts,
        rest_conversations=settings.provider_rest_conversations,
        approval_timeout_s=settings.approval_timeout_s,
    )
    traces = StepTraces(database, WireRecorder(), settings.traces)
    return StepActivities(model, database, limits, traces)


def _control(database: Database, approvals: ApprovalActivities) -> list[Activity]:
    runs = RunActivities(database)
    return [runs.close_run, runs.cancel_runs, approvals.decide, approvals.find_pending]


def _callback(settings: Settings, database: Database) -> Activity:
    return CallbackActivities(
        database,
        callback_body,
        batch_callback_body,
        OutboundGuard(settings.outbound_allow),
        attempts=settings.callback_attempts,
    ).send_callback


def _vectors(database: Database, embedding: WorkerEmbedding) -> list[Activity]:
    of_passages = partial(make_space_index, database)
    of_messages = partial(make_space_index, database, kept=MESSAGES)
    return [
        EmbeddingActivities(database, embedding.models, of_passages).embed_passages,
        MessageEmbeddingActivities(database, embedding.patient_models, of_messages).embed_messages,
    ]


def _ingestion(
    settings: Settings, database: Database, embed_soon: Callable[[Archive], None]
) -> Activity:
    reader = FileProcesses(
        timeout_s=settings.parse_timeout_s,
        memory_mb=settings.parse_memory_mb,
        most_chars=settings.parse_limit_chars,
    )
    return IngestionActivities(
        database, reader, embed_soon, most_deaths=settings.crash_attempts
    ).ingest_file
