"""Messages whose turns are over, and that have no vectors yet: somebody is to embed them."""

import asyncio
import logging
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.domain.embedding import message_embedding_execution
from o.storage.database import Database
from o.storage.history.embedding import (
    forget_waiting_messages,
    list_organizations_to_embed,
    queue_old_messages,
    set_message_model,
)
from o.temporal.failures import facts_of
from o.temporal.message_embeddings import start_message_embedding
from server.sweep.executions import end_if_stuck
from workflows.options import PATIENT_MESSAGES_S, QUIET_MESSAGES_S

_log = logging.getLogger(__name__)
_ORGANIZATIONS_A_SWEEP = 50
_LOOKED_AT_A_SWEEP = 1_000
_MOST_WAIT = 10_000
_FORGOTTEN_A_SWEEP = 5_000
_START_S = 5.0


@dataclass(frozen=True)
class MessageModel:
    """By which model messages are to be embedded.

    Attributes:
        handle: None where they are not.
        is_known: Whether this worker can tell: one on which the local model is not installed leaves
            it to the others.
    """

    handle: str | None
    is_known: bool = True


class MessageEmbeddingSweeper:
    """Has messages embedded, and those that were there before in bounded parts."""

    def __init__(
        self, database: Database, client: Client, task_queue: str, model: MessageModel
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._model = model

    async def sweep(self) -> None:
        """Look once."""
        if self._model.is_known:
            async with self._database.connect() as connection:
                await set_message_model(connection, self._model.handle)
        if self._model.handle is None:
            async with self._database.connect() as connection:
                await forget_waiting_messages(connection, limit=_FORGOTTEN_A_SWEEP)
            return
        async with self._database.begin() as connection:
            await queue_old_messages(connection, limit=_LOOKED_AT_A_SWEEP, most=_MOST_WAIT)
        async with self._database.connect() as connection:
            due = await list_organizations_to_embed(
                connection,
                quiet_s=QUIET_MESSAGES_S,
                patience_s=PATIENT_MESSAGES_S,
                limit=_ORGANIZATIONS_A_SWEEP,
            )
        for organization_id in due:
            await self._start(organization_id)

    async def _start(self, organization_id: str) -> None:
        try:
            async with asyncio.timeout(_START_S):
                await end_if_stuck(self._client, message_embedding_execution(organization_id))
                await start_message_embedding(self._client, self._task_queue, organization_id)
        except (TimeoutError, TemporalError, RuntimeError) as error:
            facts = {"organization_id": organization_id, **facts_of(error)}
            _log.warning("embedding of messages could not be started", extra=facts)
