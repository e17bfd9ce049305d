"""A turn as the API sees it: a run is stored, handed to its conversation, and followed."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from api.answers.watch import RunWatcher
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import Decision, InputMessage, say_the_same
from o.domain.runs import BusyPolicy, Run, RunEvent, RunOptions
from o.errors import Conflict, TooMany
from o.ids import new_id, request_key
from o.settings.all import Settings
from o.storage.approvals import Answer, answer_approval, check_same_answer
from o.storage.database import Database, with_patience
from o.storage.turn.accepting import (
    NewRun,
    Refused,
    accept_run,
    accepted_before,
    find_conversation,
    find_repeated_run,
    find_run_by_key,
    has_open_runs,
    lock_repeats,
    lock_thread,
    store_run,
)
from o.storage.turn.cancelling import Cancelled, Scope, cancel_runs
from o.storage.turn.runs import RunOfAgent
from o.temporal.conversations import stop_cancelled, submit_run
from o.temporal.failures import facts_of

_log = logging.getLogger(__name__)
_USER_RETRY_S = 2
_ANY_NUMBER = 2**31 - 1
_NOTIFIED_AT_ONCE = 20
"""Conversations of one request: those of a batch are hundreds."""


@dataclass(frozen=True)
class Send:
    """A send, as parsed.

    Attributes:
        input: What is said; after the answer, if there is one.
        options: How the run is to go.
        body: The bytes that came, by which a client's own retry is known.
        is_retry: Whether the client says that it posts this again (`x-stainless-retry-count`).
        otids: The client's ids of its messages, where it gave any.
        decisions: What is answered to an approval request; None for a send that answers none.
        busy_policy: What becomes of it while the conversation is busy; None goes by the setting.
        callback_url: Where a POST goes once the run is finished.
    """

    input: list[InputMessage]
    options: RunOptions
    body: bytes
    is_retry: bool
    otids: list[str] = field(default_factory=list)
    decisions: list[Decision] | None = None
    busy_policy: BusyPolicy | None = None
    callback_url: str | None = None

    @property
    def body_hash(self) -> str:
        """Digest of the body, hex."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def key(self) -> str | None:
        """What makes this request the same as another: the client's `otid`s, where it gave any."""
        return request_key(self.otids) if self.otids else None

    def to_run(self, actor: Actor, run_id: str) -> NewRun:
        """The run that is asked for."""
        return NewRun(
            id=run_id,
            request_key=self.key or run_id,
            body_hash=self.body_hash,
            input=self.input,
            options=self.options,
            created_by_id=actor.user_id,
            callback_url=self.callback_url,
        )


@dataclass(frozen=True)
class Sent:
    """A run that was accepted."""

    run: Run
    is_new: bool


class Turns:
    """Accepts runs, follows and cancels them. Losing the client never cancels one."""

    def __init__(
        self, database: Database, temporal: Client, watcher: RunWatcher, settings: Settings
    ) -> None:
        self._database = database
        self._temporal = temporal
        self._watcher = watcher
        self._settings = settings
        self._notifying: set[asyncio.Task[None]] = set()
        # Those of conversations that a run is being handed to; gone with their last user.
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, actor: Actor, thread: Thread, request: Send) -> Sent:
        """Store the run, then notify its conversation in the background.

        From the moment it is stored, the run is carried out whatever dies: if the conversation
        is never notified, the sweeper does it.

        Raises:
            NotFound: There is no such agent or conversation for this actor.
            ApprovalPending: The conversation waits for an answer to an approval request.
            ConversationBusy: Other runs are in the way.
            InvalidArgument: An answer does not fit what waits for one.
            Conflict: A call was answered otherwise before, or the `otid`s are of another message.
            TooMany: As many runs of this user are open as may be (O_USER_QUEUE_LIMIT).
            Unavailable: There is no room on the disk for what would come of it.
        """
        self._database.check_room()
        proposed_id = new_id("run")
        accepted = await with_patience(
            lambda: self._store(actor, thread, request, proposed_id),
            patience_s=self._settings.database_patience_s,
        )
        run = accepted.run
        is_new = run.id == proposed_id
        if not is_new and request.key is not None:
            _check_same_input(run, request)
        if run.status.is_open or is_new:  # with a part of an answer, Temporal shows what is left
            self.hand_over([accepted])
        return Sent(run, is_new=is_new and run.status.is_open)

    def hand_over(self, accepted: Sequence[RunOfAgent]) -> None:
        """Notify the conversations of runs that are stored, in the background."""
        limit = asyncio.Semaphore(_NOTIFIED_AT_ONCE)
        for one in accepted:
            self._notify(one.run.conversation_id, _within(limit, self._submit(one)))

    async def cancel(self, actor: Actor, scope: Scope) -> dict[str, str]:
        """Close what is open at once, then have the work at it stopped in the background.

        Returns:
            Run id to `cancelled`, or to `failed` where the run was finished already.

        Raises:
            NotFound: A run that is named is not there.
            Conflict: Nothing is named, and there is nothing to cancel.
        """
        async with self._database.begin() as connection:
            cancelled = await cancel_runs(connection, actor, scope)
        self.stop(cancelled)
        return cancelled.results

    def stop(self, cancelled: Cancelled) -> None:
        """Have the work at runs that are cancelled stopped, in the background."""
        limit = asyncio.Semaphore(_NOTIFIED_AT_ONCE)
        for conversation_id, run_ids in cancelled.conversations.items():
            stopping = stop_cancelled(self._temporal, conversation_id, run_ids)
            self._notify(conversation_id, _within(limit, stopping))

    def follow(self, sent: Sent, actor: Actor) -> AsyncGenerator[list[RunEvent], None]:
        """The run's events from the first, for who asks; see `RunWatcher.follow`."""
        return self._watcher.follow(sent.run.id, key_id=actor.key_id, is_new=sent.is_new)

    async def _store(self, actor: Actor, thread: Thread, request: Send, run_id: str) -> RunOfAgent:
        new = request.to_run(actor, run_id)
        if request.decisions is not None:
            return await self._answer(actor, thread, request, new)
        policy = request.busy_policy or self._settings.busy_policy
        most = self._settings.user_queue_limit
        if most is not None and policy != "interrupt":  # that one may make room
            async with self._database.connect() as connection:
                if await has_open_runs(connection, actor, most):
                    repeated = await _repeated(connection, actor, thread, request, new)
                    return repeated or refuse_more(most)
        match policy:
            case "interrupt":
                return await self._interrupt(actor, thread, request, new)
            case "reject":
                async with self._database.begin() as connection:
                    await lock_thread(connection, thread)
                    repeated = await _repeated(connection, actor, thread, request, new)
                    return repeated or await accept_run(connection, actor, thread, new, most_open=1)
            case _:
                return await self._queue(actor, thread, request, new)

    @property
    def _most_open(self) -> int:
        """How many runs of a conversation may be open: one at work, and those that wait."""
        return self._settings.queue_limit + 1

    async def _queue(self, actor: Actor, thread: Thread, request: Send, new: NewRun) -> RunOfAgent:
        most_open = self._most_open
        if request.key is not None or not request.is_retry:
            async with self._database.quick() as quick:  # one statement, the usual case
                stored = await store_run(quick, actor, thread, new, most_open=most_open)
            if not isinstance(stored, Refused):
                return stored
            async with self._database.connect() as connection:
                return await accepted_before(connection, actor, thread, new, stored)
        async with self._database.begin() as connection:
            # A client that has waited for long sends again what may be on its way to the database,
            # through this process or another one.
            await lock_repeats(connection, actor, thread, request.body_hash)
            repeated = await _repeated(connection, actor, thread, request, new)
            return repeated or await accept_run(connection, actor, thread, new, most_open=most_open)

    async def _interrupt(
        self, actor: Actor, thread: Thread, request: Send, new: NewRun
    ) -> RunOfAgent:
        cancelled = Cancelled()
        # What takes the place of another one is no message more, however many there may be.
        most, most_open = None, _ANY_NUMBER
        async with self._database.begin() as connection:
            await lock_thread(connection, thread)
            repeated = await _repeated(connection, actor, thread, request, new)
            if repeated is not None:
                return repeated
            try:
                scope = Scope(thread=thread, only_first=True)
                cancelled = await cancel_runs(connection, actor, scope)
            except Conflict:  # there was nothing to interrupt
                most, most_open = self._settings.user_queue_limit, self._most_open
            if most is not None and await has_open_runs(connection, actor, most):
                refuse_more(most)
            accepted = await accept_run(connection, actor, thread, new, most_open=most_open)
        self.stop(cancelled)
        return accepted

    async def _answer(self, actor: Actor, thread: Thread, request: Send, new: NewRun) -> RunOfAgent:
        decisions = request.decisions or []
        async with self._database.begin() as connection:
            conversation_id, agent_name, model = await find_conversation(connection, actor, thread)
            repeated = await _repeated(connection, actor, thread, request, new)
            if repeated is not None:
                await check_same_answer(connection, repeated.run, decisions)
                return repeated
            answer = Answer(decisions, decided_by=actor.user_id, key_id=actor.key_id)
            run = await answer_approval(connection, conversation_id, answer, new)
        return RunOfAgent(run, agent_name, run.options.override_model or model, is_warm=True)

    def _notify(self, conversation_id: str, notification: Coroutine[None, None, None]) -> None:
        """Notify a conversation in the background. The database knows already."""

        async def notify() -> None:
            try:
                await notification
            except (TemporalError, RuntimeError) as error:
                _log.warning(
                    "conversation was not notified; the sweeper will do it",
                    extra={"conversation_id": conversation_id, **facts_of(error)},
                )

        task = asyncio.create_task(notify())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _submit(self, accepted: RunOfAgent) -> None:
        """Hand a run to its conversation, behind those that came before.

        In their order, because a conversation that begins with the wrong one asks the database
        twice.
        """
        conversation_id = accepted.run.conversation_id
        async with self._lines.setdefault(conversation_id, asyncio.Lock()):
            await submit_run(
                self._temporal,
                self._settings.task_queue,
                accepted.run,
                agent_name=accepted.agent_name,
                model=accepted.model,
                is_warm=accepted.is_warm,
            )


async def _within(limit: asyncio.Semaphore, work: Coroutine[None, None, None]) -> None:
    """Do something when there is room for it."""
    async with limit:
        await work


def _check_same_input(run: Run, request: Send) -> None:
    """Make sure that a request says what made this run, which has the same `otid`s.

    How it is to be answered may differ. A client that counts its ids anew would otherwise take an
    old answer for a new one, and what it said would be lost.

    Raises:
        Conflict: It says something else.
    """
    if request.input and not say_the_same(run.input, request.input):
        raise Conflict(
            f"The otid was used before, for another message (run {run.id}): nothing was stored. "
            "Give each message an otid of its own"
        )


def refuse_more(most: int) -> NoReturn:
    """Say that as many runs of a user are open as may be.

    Raises:
        TooMany: Always.
    """
    raise TooMany(
        f"{most} messages of this user are under way or wait, which is as many as may be "
        f"(O_USER_QUEUE_LIMIT): send again when one is answered.",
        retry_after_s=_USER_RETRY_S,
    )


async def _repeated(
    connection: AsyncConnection, actor: Actor, thread: Thread, request: Send, new: NewRun
) -> RunOfAgent | None:
    """The run of the first request, where this one is it again.

    Requests with keys find one another by them, and so does what this process repeats because the
    database went away before it answered; a client without keys says that it sends again.
    """
    found = await find_run_by_key(connection, actor, thread, new.request_key)
    if found is None and request.is_retry and request.key is None:
        return await find_repeated_run(connection, actor, thread, request.body_hash)
    return found
