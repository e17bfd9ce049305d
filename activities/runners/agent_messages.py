"""The tools by which agents write to one another: each message is a run of the other agent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.exceptions import TemporalError

from activities.runners.agent_answers import circle, no_answer, texts_of
from activities.runners.awaited_runs import AwaitedRuns
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.messages import InputMessage, Role, TextPart
from o.domain.runs import Run, RunOptions
from o.errors import ApprovalPending, ConversationBusy, NotFound, ToolFailed
from o.ids import derived_id
from o.storage.agents.agent_messages import (
    AwaitedRun,
    WaitsInACircle,
    agents_with_tags,
    end_wait,
    list_said,
    send_to_agent,
)
from o.storage.database import Database
from o.storage.turn.accepting import NewRun
from o.storage.turn.runs import RunOfAgent, age_of_run_s, get_run
from o.tools.invocation import Invocation, Returned, ToolRunner
from o.tools.multi_agent import (
    ASYNC,
    BY_TAGS,
    WAIT,
    OneAgentArguments,
    TagsArguments,
    incoming,
    replies,
)
from o.tools.tool import parsed

_log = logging.getLogger(__name__)
_MOST_AGENTS = 200
_Result = TypeVar("_Result")

Submit = Callable[[RunOfAgent], Awaitable[None]]
"""Hands a run that is stored to its conversation."""


@dataclass(frozen=True)
class MessageLimits:
    """What messages between agents may take.

    Attributes:
        queue: Messages that may wait in one conversation.
        reply_s: Seconds that an answer is waited for.
        agents_at_once: How many agents one call has at work at the same time.
        waiting: How many answers are waited for in this process. What is waited for needs a slot
            as well, so that these must not take them all.
    """

    queue: int
    reply_s: float
    agents_at_once: int
    waiting: int


class AgentMessages:
    """Sends messages to agents and waits for answers.

    The run that a message makes has an id made from the call's key and the agent, so that a call
    which is repeated, by whatever worker, finds it and sends nothing twice. A cancelled sender
    waits no more; what it has sent stays sent, and the other agent goes on.
    """

    def __init__(self, database: Database, submit: Submit, limits: MessageLimits) -> None:
        self._database = database
        self._submit = submit
        self._limits = limits
        self._ends = AwaitedRuns(database)
        self._waiting = 0

    def runners(self) -> dict[str, ToolRunner]:
        """The tools' runners, by name."""
        return {
            WAIT: _Runner(self._and_wait),
            ASYNC: _Runner(self._async),
            BY_TAGS: _Runner(self._by_tags),
        }

    async def _and_wait(self, call: Invocation, sender: Agent) -> str:
        arguments = parsed(OneAgentArguments, call.arguments)
        said = await self._ask(call, sender, arguments.other_agent_id, arguments.message)
        return str(replies(arguments.other_agent_id, said))

    async def _async(self, call: Invocation, sender: Agent) -> str:
        arguments = parsed(OneAgentArguments, call.arguments)
        to = arguments.other_agent_id
        run = await self._send(call, to, incoming(arguments.message, sender, waits=False))
        return f"The message to agent {to} was sent, as run {run.id}. Nobody waits for its answer."

    async def _by_tags(self, call: Invocation, sender: Agent) -> str:
        arguments = parsed(TagsArguments, call.arguments)
        if not arguments.match_all and not arguments.match_some:
            raise ToolFailed("Nothing was sent: name a tag in match_all or match_some.")
        async with self._database.connect() as connection:
            found = await agents_with_tags(
                connection,
                Actor(organization_id=call.organization_id),
                every=arguments.match_all or (),
                some=arguments.match_some or (),
                limit=_MOST_AGENTS + 2,
            )
        others = [agent_id for agent_id in found if agent_id != sender.id]
        if not others:
            raise ToolFailed("Nothing was sent: no other agent has such tags.")
        if len(others) > _MOST_AGENTS:
            raise ToolFailed(
                f"Nothing was sent: more than {_MOST_AGENTS} agents have such tags. Name more tags."
            )
        at_once = asyncio.Semaphore(self._limits.agents_at_once)

        async def ask(agent_id: str) -> dict[str, Any]:
            async with at_once:
                try:
                    said = await self._ask(call, sender, agent_id, arguments.message)
                except ToolFailed as error:
                    said = [f"<error: {error.message}>"]
            return replies(agent_id, said)

        return str(await _all_of([ask(agent_id) for agent_id in others]))

    async def _ask(self, call: Invocation, sender: Agent, to: str, message: str) -> list[str]:
        """Send a message and wait for what the other agent says to it.

        Raises:
            ToolFailed: It was not sent, or there will be no answer.
        """
        if self._waiting >= self._limits.waiting and not await self._was_sent(call, to):
            raise ToolFailed(
                "Nothing was sent: too many agents wait for one another on this server. Try again "
                f"later, or do not wait for an answer ({ASYNC})."
            )
        self._waiting += 1
        try:
            text = incoming(message, sender, waits=True)
            run = await self._send(call, to, text, waiting_run_id=call.run_id or None)
            end = await self._end_of(run)
        finally:
            self._waiting -= 1
        async with self._database.connect() as connection:
            if call.run_id:
                await end_wait(connection, run.id)
            if end is None:
                raise ToolFailed(
                    f"Agent {to} has the message, and has not answered within "
                    f"{self._limits.reply_s:g} s. It goes on, but its answer does not come to you."
                )
            if (reason := no_answer(end, to)) is not None:
                raise ToolFailed(reason)
            return texts_of(await list_said(connection, run.id))

    async def _was_sent(self, call: Invocation, to: str) -> bool:
        async with self._database.connect() as connection:
            return await get_run(connection, _run_id(call, to)) is not None

    async def _send(
        self, call: Invocation, to: str, text: str, *, waiting_run_id: str | None = None
    ) -> Run:
        """The run that the message makes, or has made before.

        Raises:
            ToolFailed: It was not sent.
            Unavailable: There is no room on the disk; it is tried again.
        """
        self._database.check_room()
        run_id = _run_id(call, to)
        part = TextPart(text=text)
        sender_id = call.agent.id if call.agent else None
        new = NewRun(
            id=run_id,
            request_key=run_id,
            body_hash="",
            input=[InputMessage(role=Role.USER, parts=[part], sender_id=sender_id)],
            options=RunOptions(background=True),
        )
        try:
            async with self._database.begin() as connection:
                sent = await send_to_agent(
                    connection,
                    Actor(organization_id=call.organization_id),
                    to,
                    new,
                    waiting_run_id=waiting_run_id,
                    most_open=self._limits.queue + 1,
                )
        except NotFound:
            raise ToolFailed(f"Nothing was sent: there is no agent {to[:60]!r}.") from None
        except ApprovalPending:
            raise ToolFailed(
                f"Nothing was sent: agent {to} waits for a person to approve what it wants to do, "
                "and reads nothing until then."
            ) from None
        except ConversationBusy:
            raise ToolFailed(
                f"Nothing was sent: agent {to} has too many messages to read already. Try later."
            ) from None
        except WaitsInACircle:
            raise ToolFailed(circle(to, call)) from None
        if sent.run.status.is_open:
            try:
                await self._submit(sent)
            except (TemporalError, RuntimeError) as error:
                facts = {"run_id": sent.run.id, "error": type(error).__name__}
                _log.warning("conversation was not notified; the sweeper will do it", extra=facts)
        return sent.run

    async def _end_of(self, run: Run) -> AwaitedRun | None:
        """How a run ended, None when it has not within the time."""
        async with self._database.connect() as connection:
            age_s = await age_of_run_s(connection, run.id)
        try:
            async with asyncio.timeout(max(self._limits.reply_s - age_s, 1.0)):
                return await self._ends.settled(run.id)
        except TimeoutError:
            return None


class _Runner:
    """One of the tools, as a `ToolRunner`."""

    def __init__(self, send: Callable[[Invocation, Agent], Awaitable[str]]) -> None:
        self._send = send

    def repeats_safely(self, call: Invocation) -> bool:
        """Yes: what was sent is found again."""
        return True

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Send, and wait where that is asked for; see `ToolRunner`."""
        if call.agent is None:
            raise ToolFailed("Nothing was sent: only an agent can write to an agent.")
        await before_sending()
        return Returned("success", await self._send(call, call.agent))


def _run_id(call: Invocation, to: str) -> str:
    return derived_id("run", call.idempotency_key, to)


async def _all_of(asks: Sequence[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """All results, in order; where one raises, the others are stopped first."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in asks]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
