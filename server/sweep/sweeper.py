"""The sweeper: looks every few seconds for what was lost, is late, or is to go.

Its duties stand in two rounds, each with a lock of its own, so that one worker at a time goes
them. Lost runs come first. A duty that fails is a line in the log, and the next one follows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import LiteralString

from psycopg import AsyncConnection
from temporalio.client import Client

from o.metrics.measures import SWEEP_FAILURES, SWEPT
from o.settings.retention import Retention
from o.storage.database import Database
from o.temporal.failures import facts_of
from server.sweep.approvals import ApprovalSweeper
from server.sweep.callbacks import CallbackSweeper
from server.sweep.embedding import EmbeddingSweeper
from server.sweep.ingestion import IngestionSweeper
from server.sweep.message_embedding import MessageEmbeddingSweeper, MessageModel
from server.sweep.old_words import OldWordsSweeper
from server.sweep.organizations import OrganizationSweeper
from server.sweep.purges import PurgeSweeper
from server.sweep.retention import RetentionSweeper
from server.sweep.runs import RunSweeper
from server.sweep.stray_approvals import StrayApprovalSweeper

_log = logging.getLogger(__name__)
_RESCUE_LOCK = 0x6F5F7377  # "o_sw"
_PURGE_LOCK = 0x6F5F7075  # "o_pu"
_TAKE: LiteralString = "SELECT pg_try_advisory_lock(%s)"
_GIVE_BACK: LiteralString = "SELECT pg_advisory_unlock(%s)"

_Duty = tuple[str, Callable[[], Awaitable[object]]]
"""Its name, and what it does; where that tells a number, so many things were put right."""


class Sweeper:
    """All that is looked after in the background of the workers."""

    def __init__(
        self,
        database: Database,
        client: Client,
        task_queue: str,
        *,
        interval_s: float,
        retention: Retention = Retention(),
        has_embedding: bool = False,
        block_versions: int = 10_000,
        message_model: MessageModel = MessageModel(None),
    ) -> None:
        self._database = database
        self._interval_s = interval_s
        runs = RunSweeper(database, client, task_queue, older_than_s=interval_s)
        approvals = ApprovalSweeper(database, client, task_queue, older_than_s=interval_s)
        callbacks = CallbackSweeper(database, client, task_queue)
        embedding = EmbeddingSweeper(
            database,
            client,
            task_queue,
            has_default=has_embedding,
            older_than_s=interval_s,
        )
        messages = MessageEmbeddingSweeper(database, client, task_queue, message_model)
        ingestion = IngestionSweeper(database, client, task_queue, older_than_s=interval_s)
        purges = PurgeSweeper(database, client, block_versions=block_versions)
        self._rescues: list[_Duty] = [
            ("lost runs", runs.sweep),
            ("late approvals", approvals.sweep_late),
            ("shown approvals", approvals.sweep_shown),
            ("callbacks", callbacks.sweep),
            ("passages without vectors", embedding.sweep),
            ("messages without vectors", messages.sweep),
            ("files that are not read", ingestion.sweep),
        ]
        self._purges: list[_Duty] = [
            ("deleted rows", purges.sweep_deleted),
            ("deleted files", purges.sweep_files),
            ("deleted archives", purges.sweep_archives),
            *RetentionSweeper(database, retention).duties(),
            ("deleted organizations", OrganizationSweeper(database).sweep),
            ("old versions of blocks", purges.sweep_versions),
            ("approvals of deleted runs", StrayApprovalSweeper(database).sweep),
            ("words of old messages", OldWordsSweeper(database).sweep),
        ]

    async def run(self) -> None:
        """Sweep until cancelled."""
        await asyncio.gather(
            self._go_round(_RESCUE_LOCK, self._rescues), self._go_round(_PURGE_LOCK, self._purges)
        )

    async def _go_round(self, lock: int, duties: Sequence[_Duty]) -> None:
        while True:
            try:
                await self._sweep_on(lock, duties)
            except Exception as error:  # the top of a background job, which must never end
                _log.warning("sweep failed", extra=facts_of(error))
            await asyncio.sleep(self._interval_s)

    async def _sweep_on(self, lock: int, duties: Sequence[_Duty]) -> None:
        """Sweep for as long as the lock's connection lives.

        The lock has a connection beside the pool, which the duties may need the whole of. It is
        given back between sweeps, so that a worker that hangs keeps nobody from sweeping.
        """
        async with await self._database.connect_alone("lock") as connection:
            while True:
                if await _ask(connection, _TAKE, lock):
                    await _do_each(duties)
                    await _ask(connection, _GIVE_BACK, lock)
                await asyncio.sleep(self._interval_s)


async def _ask(connection: AsyncConnection, statement: LiteralString, lock: int) -> bool:
    row = await (await connection.execute(statement, (lock,))).fetchone()
    return bool(row and row[0])


async def _do_each(duties: Sequence[_Duty]) -> None:
    """Do each, whatever becomes of the others. A part that is away is tried again next time."""
    for name, duty in duties:
        try:
            found = await duty()
            if isinstance(found, int):
                SWEPT.labels(name).inc(found)
        except Exception as error:  # the top of a background job; see above
            facts = {"duty": name, **facts_of(error)}
            _log.warning("part of a sweep failed", extra=facts)
            SWEEP_FAILURES.labels(name).inc()
