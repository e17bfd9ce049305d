"""A conversation: one long-lived workflow that takes its turns one at a time."""

import asyncio

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from workflows import options
from workflows.contract import Accepted, ConversationState, Turn
from workflows.turn import TurnRunner

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
AGENT_ID = SearchAttributeKey.for_keyword("AgentId")
AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")


@workflow.defn(name="Conversation")
class Conversation:
    """Queues the runs of one conversation and drives them through their steps.

    The workflow's id is the conversation's. All that is said is in the database, from which an
    execution can be made again at any time: sending a run that is half done carries it on.
    """

    @workflow.init
    def __init__(self, state: ConversationState) -> None:
        self._state = state
        self._current: TurnRunner | None = None
        self._closed = False
        self._served = 0
        self._expired = False
        self._began = workflow.now()

    @workflow.run
    async def run(self, state: ConversationState) -> None:
        """Take turns until the conversation is closed or idle; hand over before history is long."""
        clock = asyncio.create_task(self._expire())
        while await self._something_to_do():
            await self._take(self._state.queue.pop(0))
            if await self._is_time_to_hand_over():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._state)
        clock.cancel()
        if self._closed:
            self._set_status("closed")

    @workflow.update
    async def send(self, turn: Turn) -> Accepted:
        """Queue a run. Sending one that waits or runs already changes nothing."""
        if turn.run_id not in self._known():
            self._state.queue.append(turn)
        return Accepted(turn.run_id, ahead=self._known().index(turn.run_id))

    @send.validator
    def _check_send(self, turn: Turn) -> None:
        if self._closed:
            raise ApplicationError("the agent was deleted", type="Conflict")

    @workflow.signal
    def close(self) -> None:
        """The agent is being deleted: take no more turns and end."""
        self._closed = True

    @workflow.query
    def known_runs(self) -> list[str]:
        """Ids of the run that is under way and of those that wait, in order."""
        return self._known()

    def _known(self) -> list[str]:
        current = [self._current.turn.run_id] if self._current else []
        return current + [turn.run_id for turn in self._state.queue]

    async def _something_to_do(self) -> bool:
        """Wait for a turn; False when the conversation is closed, or long after the last one."""
        await workflow.wait_condition(
            lambda: self._closed or self._expired or bool(self._state.queue)
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        return bool(self._state.queue) and not self._closed

    async def _expire(self) -> None:
        """End an execution that served nothing for long. One timer for all turns: they cost."""
        served = -1
        while served != self._served or self._known():
            served = self._served
            await asyncio.sleep(options.IDLE_TIMEOUT.total_seconds())
        self._expired = True

    async def _take(self, turn: Turn) -> None:
        self._began = workflow.now()
        self._current = TurnRunner(turn, self._is_closed, self._show_step)
        try:
            next_turns = await self._current.run()
        finally:
            self._current = None
        ids = {turn.run_id for turn in next_turns}
        later = [turn for turn in self._state.queue if turn.run_id not in ids]
        self._state.queue = next_turns + later
        self._served += 1
        if not self._state.queue:
            workflow.set_current_details(f"Idle. {self._served} turns taken by this execution.")
            self._set_status("idle")

    async def _is_time_to_hand_over(self) -> bool:
        length = workflow.info().get_current_history_length()
        if self._closed or length <= options.EVENTS_BETWEEN_TURNS:
            return False
        if length > options.EVENTS_BETWEEN_TURNS_LIMIT:
            return True
        try:
            await workflow.wait_condition(
                lambda: self._closed or bool(self._state.queue), timeout=options.QUIET
            )
        except TimeoutError:
            return True
        return False

    def _is_closed(self) -> bool:
        return self._closed

    def _show_step(self, text: str) -> None:
        """Tell the Temporal UI what happens; in its list of workflows only what takes a while."""
        waiting = f"\n\n{len(self._state.queue)} more runs wait." if self._state.queue else ""
        workflow.set_current_details(text + waiting)
        if workflow.now() - self._began > options.WORTH_SHOWING:
            self._set_status("running")

    def _set_status(self, status: str) -> None:
        if workflow.info().typed_search_attributes.get(RUN_STATUS) != status:
            workflow.upsert_search_attributes([RUN_STATUS.value_set(status)])
