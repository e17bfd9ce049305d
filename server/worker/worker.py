"""The worker: what it is made of, from its start to its end; `polling` says what it polls."""

import asyncio
import logging
from collections.abc import Callable

from temporalio.client import Client
from temporalio.runtime import Runtime

from migrations.schema import wait_for_schema
from o.domain.runs import StopReason
from o.llm.models import Models
from o.llm.providers.prices import Prices
from o.llm.providers.provider_rows import ProviderRows
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
from o.temporal.connection import connect_or_explain
from server.sweep.sweeper import Sweeper
from server.worker.compaction import compacting
from server.worker.embedding import WorkerEmbedding
from server.worker.measures import worker_measures
from server.worker.polling import polling
from server.worker.queues import worker_identity
from server.worker.sandboxes import sandbox_of_worker
from server.worker.temporal_measures import TemporalMeasures

_log = logging.getLogger(__name__)
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
            polling(
                settings,
                client,
                database,
                model,
                embedding,
                compacting(settings, providers, database, model),
                sandbox,
                slots=calls + _SPARE_SLOTS,
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


async def _connected(database: Database, settings: Settings, runtime: Runtime | None) -> Client:
    """Wait for the database, its schema and Temporal, which may start at the same time as we."""
    await wait_for_schema(database, patience_s=STARTUP_PATIENCE_S)
    return await connect_or_explain(settings, patience_s=STARTUP_PATIENCE_S, runtime=runtime)
