"""A turn as the API sees it: a run is stored, handed to its conversation, and followed."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.exceptions import TemporalError

from api.watch import RunWatcher
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import InputMessage
from o.domain.runs import Run, RunEvent, RunOptions
from o.ids import new_id
from o.settings import Settings
from o.storage.database import Database, with_patience
from o.storage.runs import NewRun, RunOfAgent, accept_run, find_repeated_run
from o.temporal import submit_run

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Send:
    """A send, as parsed.

    Attributes:
        body: The bytes that came, by which a client's own retry is known.
        is_retry: Whether the client says that it posts this again (`x-stainless-retry-count`).
    """

    input: list[InputMessage]
    options: RunOptions
    body: bytes
    is_retry: bool

    @property
    def body_hash(self) -> str:
        """Digest of the body, hex."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def key(self) -> str | None:
        """What makes this request the same as another: the client's `otid`s, where it gave any."""
        otids = [message.otid for message in self.input if message.otid]
        return "otid:" + ",".join(otids) if otids else None


@dataclass(frozen=True)
class Sent:
    """A run that was accepted."""

    run: Run
    is_new: bool


class Turns:
    """Accepts runs and follows them. Losing the client never cancels one."""

    def __init__(
        self, database: Database, temporal: Client, watcher: RunWatcher, settings: Settings
    ) -> None:
        self._database = database
        self._temporal = temporal
        self._watcher = watcher
        self._settings = settings
        self._submitting: set[asyncio.Task[None]] = set()

    async def send(self, actor: Actor, thread: Thread, request: Send) -> Sent:
        """Store the run, then tell its conversation in the background.

        From the moment it is stored, the run is carried out whatever dies: if the conversation
        is never told, the sweeper tells it.

        Raises:
            NotFound: There is no such agent or conversation for this actor.
        """
        proposed_id = new_id("run")
        accepted = await with_patience(
            lambda: self._store(actor, thread, request, proposed_id),
            patience_s=self._settings.database_patience_s,
        )
        run = accepted.run
        if run.status.is_open:
            task = asyncio.create_task(self._submit(accepted))
            self._submitting.add(task)
            task.add_done_callback(self._submitting.discard)
        return Sent(run, is_new=run.id == proposed_id)

    def follow(self, sent: Sent) -> AsyncIterator[list[RunEvent]]:
        """The run's events from the first; see `RunWatcher.follow`."""
        return self._watcher.follow(sent.run.id, is_new=sent.is_new)

    async def _store(self, actor: Actor, thread: Thread, request: Send, run_id: str) -> RunOfAgent:
        async with self._database.connect() as connection:
            if request.is_retry and request.key is None:
                repeated = await find_repeated_run(connection, actor, thread, request.body_hash)
                if repeated is not None:
                    return repeated
            new = NewRun(
                id=run_id,
                request_key=request.key or run_id,
                body_hash=request.body_hash,
                input=request.input,
                options=request.options,
            )
            return await accept_run(connection, actor, thread, new)

    async def _submit(self, accepted: RunOfAgent) -> None:
        run = accepted.run
        try:
            await submit_run(
                self._temporal,
                self._settings.task_queue,
                run,
                agent_name=accepted.agent_name,
                model=accepted.model,
                is_warm=accepted.is_warm,
            )
        except (TemporalError, RuntimeError) as error:
            _log.warning(
                "conversation was not told; the sweeper will",
                extra={"run_id": run.id, "error": type(error).__name__},
            )
