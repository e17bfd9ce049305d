"""The activity that makes room in a window: a summary takes the place of a part of history."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.compaction.room import Room, read_room
from activities.compaction.summaries import Summaries
from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.worker_requests import Asked
from o.domain.agents import Thread
from o.domain.compaction import CompactionSettings
from o.domain.messages import Message
from o.errors import Conflict, InvalidArgument, NotFound
from o.ids import derived_id
from o.memory.compaction import Plan, plan_compaction, stats_of, text_tokens, with_request
from o.memory.summaries import packed_summary, summary_message, unpacked_summary
from o.storage.agents.agents import actor_of
from o.storage.database import Database
from o.storage.history.messages import get_message
from o.storage.history.window import Compaction, commit_compaction, count_hidden, is_compacted
from o.storage.turn.runs import get_run
from workflows.contract import Compacted, CompactRef

OVERFLOW, CHECKED, ASKED = "context_window_exceeded", "post_step_context_check", "manual"
"""Why a window is compacted, in V1's words where it has one."""


@dataclass(frozen=True)
class Asking:
    """Why a window is to be smaller.

    Attributes:
        trigger: One of the words above.
        counted: What the prompt was counted to take; 0 where nobody has.
        refused: Whether the provider found it too long.
    """

    trigger: str
    counted: int = 0
    refused: bool = False


class CompactActivities:
    """Compacts windows: ahead of a step whose prompt is too long, and when a client asks."""

    def __init__(self, database: Database, summaries: Summaries) -> None:
        self._database = database
        self._summaries = summaries

    @activity.defn(name="compact")
    async def compact(self, request: CompactRef) -> Compacted:
        """Make room in the window of a run's conversation.

        Safe to retry: a compaction that is committed is left as it is, whoever committed it. A
        model that gives no summary ends nothing: the window is cut without one.
        """
        step_id = derived_id("step", request.run_id, request.index)
        summary_id = derived_id("message", step_id, "summary", request.ordinal)
        with as_activity_failure(), heartbeating():
            try:
                room = await self._read(request, summary_id)
            except NotFound:  # it was deleted meanwhile
                return Compacted(done=True)
            if isinstance(room, Compacted):
                return room
            settings = CompactionSettings.of(room.agent.compaction_settings)
            trigger = OVERFLOW if request.refused else CHECKED
            why = Asking(trigger, request.tokens, request.refused)
            made = await self._make(room, settings, summary_id, why)
        return Compacted(smaller=made is not None)

    async def serve(self, asked: Asked) -> dict[str, Any]:
        """Compact a conversation because a client asks: requests of the kind `COMPACT`.

        A request is `{"conversation_id", "settings"}`, the answer V1's `CompactionResponse`. It
        bears repeating: what is committed is told again.

        Raises:
            NotFound: The conversation was deleted meanwhile.
            InvalidArgument: Nothing would get shorter.
            Conflict: The history was reset meanwhile, or compacted by somebody else.
        """
        summary_id = derived_id("message", asked.id, "summary")
        async with self._database.connect() as connection:
            made = await get_message(connection, summary_id)
            if made is not None:
                return _answer(made)
            conversation_id = str(asked.request["conversation_id"])
            actor = await actor_of(connection, conversation_id)
            room = await read_room(connection, actor, Thread(conversation_id=conversation_id))
        given = asked.request.get("settings")
        settings = CompactionSettings.of(given or room.agent.compaction_settings)
        done = await self._make(room, settings, summary_id, Asking(ASKED))
        if done is None:
            raise InvalidArgument(
                "INVALID_ARGUMENT: there is nothing to compact: too few messages may leave the "
                "context window for it to get shorter."
            )
        return _answer(done)

    async def _read(self, request: CompactRef, summary_id: str) -> Room | Compacted:
        async with self._database.connect() as connection:
            run = await get_run(connection, request.run_id)
            if run is None or not run.status.is_open:
                return Compacted(done=True)
            if await is_compacted(connection, summary_id):
                return Compacted()
            actor = await actor_of(connection, run.conversation_id)
            thread = Thread(conversation_id=run.conversation_id)
            return await read_room(connection, actor, thread, run=run, fallback=request.fallback)

    async def _make(
        self, room: Room, settings: CompactionSettings, summary_id: str, why: Asking
    ) -> Message | None:
        """The summary that stands there now; None where nothing gets shorter."""
        run_id = room.run.id if room.run else None
        plan = plan_compaction(
            room.agent,
            room.messages,
            settings,
            fixed=room.fixed,
            before=room.summary_tokens,
            counted=why.counted,
            refused=why.refused,
            run_id=run_id,
        )
        left = 2 + len(room.messages) - plan.cut.at
        if not plan.cut.at or (left >= room.count if run_id is None else not plan.is_worth_it):
            return None
        gone = room.messages[: plan.cut.at]
        summary = await self._summaries.of(room, gone, settings, plan)
        message = await self._message(room, plan, summary, summary_id, why)
        compaction = Compaction(
            epoch=room.conversation.epoch,
            window_start=gone[-1].position,
            summary=message,
            prompt=room.prompt,
            prompt_key=room.prompt_key,
            run_id=run_id,
        )
        async with self._database.begin() as connection:
            is_made = await commit_compaction(connection, compaction)
        facts = {"trigger": why.trigger, "messages": len(gone), "is_made": is_made}
        activity.logger.info("window compacted", extra=facts)
        if not is_made and run_id is None:
            raise Conflict("CONFLICT: The history was changed meanwhile. Ask again.")
        return message

    async def _message(
        self, room: Room, plan: Plan, summary: str, summary_id: str, why: Asking
    ) -> Message:
        now = datetime.now(UTC)
        until = room.messages[plan.cut.at - 1].position
        async with self._database.connect() as connection:
            hidden = await count_hidden(connection, room.conversation.id, until)
        text = packed_summary(
            with_request(summary, plan.cut.request, plan),
            hidden=hidden,
            stats=stats_of(
                room.agent,
                why.trigger,
                before=plan.before,
                after=plan.kept_tokens + round(text_tokens(summary) * plan.scale),
                messages=(room.count, 2 + len(room.messages) - plan.cut.at),
            ),
            now=now,
            timezone=room.agent.timezone,
        )
        run_id = room.run.id if room.run else None
        return summary_message(room.agent, room.conversation, summary_id, text, now, run_id=run_id)


def _answer(made: Message) -> dict[str, Any]:
    summary, stats = unpacked_summary(made.text)
    counts = stats or {}
    return {
        "summary": summary,
        "num_messages_before": counts["messages_count_before"],
        "num_messages_after": counts["messages_count_after"],
    }
