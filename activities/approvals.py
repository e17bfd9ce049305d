"""Activities of approval requests: an answer is carried out, a verdict from Temporal recorded."""

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.pending import pending_request
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.approvals import (
    NOTHING_WAITS,
    Approval,
    client_return,
    digest_of,
    refusal,
    response_message,
)
from o.domain.loops import GO_ON, after_call
from o.domain.messages import (
    Decision,
    Message,
    ToolCall,
    ToolReturn,
    response_message_id,
)
from o.domain.rules.kinds import need_history, rule_state
from o.domain.runs import Run, RunOptions
from o.errors import Conflict, InvalidArgument, NotFound
from o.storage.agents.agents import get_agent
from o.storage.approvals import Answer, answer_approval, get_approval, get_pending_approval
from o.storage.database import Database
from o.storage.history.messages import get_message
from o.storage.turn.accepting import NewRun
from o.storage.turn.closing import commit_return
from o.storage.turn.committing import append_messages
from o.storage.turn.runs import get_run, start_run
from o.storage.turn.steps import (
    get_step_reply,
    list_request_returns,
    list_step_returns,
    list_unanswered_calls,
)
from o.temporal.refs import call_refs, turn_of
from workflows import contract
from workflows.contract import CallRef, ConversationRef, Decide, Decided, StepOutcome, Turn

TEMPORAL = "temporal"
"""Who decides what comes from Temporal's UI or CLI."""


_SWITCHED_OFF = (
    "Decisions are not taken from Temporal here, because it asks nobody for O_API_TOKEN: "
    "answer through the API, or have the operator set O_TEMPORAL_DECISIONS=1"
)


class ApprovalActivities:
    """What is answered to approval requests."""

    def __init__(self, database: Database, *, takes_decisions: bool = True) -> None:
        """Nothing is connected yet.

        Args:
            database: Where requests and answers are.
            takes_decisions: Whether whoever reaches Temporal may decide.
        """
        self._database = database
        self._takes_decisions = takes_decisions

    @activity.defn(name="begin_answer")
    async def begin_answer(self, turn: Turn) -> StepOutcome:
        """Begin a run that answers a request: commit what is settled, tell which calls are left.

        Denied calls and those that the client made have their returns when this is done; the
        approved ones, and those that needed no approval, are left to be made. Safe to retry.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.begin() as connection:
                run = await get_run(connection, turn.run_id, lock=True)
                if run is None:
                    return StepOutcome(-1, done=True)
                if not run.status.is_open:
                    pending = await pending_request(connection, run.conversation_id)
                    return StepOutcome(-1, done=True, pending=pending)
                approval = await get_approval(connection, run.approval_id or "")
                if approval is None or run.steps_done > 0:
                    return StepOutcome(-1)
                await start_run(connection, run.id)
                return await _begin(connection, run, approval)

    @activity.defn(name="decide")
    async def decide(self, request: Decide) -> Decided:
        """Record what a person decided in Temporal, as the API would.

        Raises:
            ApplicationError: `InvalidArgument` or `Conflict`, as the API would answer; not retried.
        """
        with as_activity_failure(), heartbeating():
            if not self._takes_decisions:
                raise Conflict(_SWITCHED_OFF)
            verdict = request.verdict
            if not verdict.tool_call_id:
                raise InvalidArgument(await self._ask_for_id(request.conversation_id))
            decision = Decision(
                tool_call_id=verdict.tool_call_id,
                approve=verdict.approve,
                reason=verdict.reason or None,
            )
            new = NewRun(
                id=request.run_id,
                request_key=request.run_id,
                body_hash="",
                input=[],
                options=RunOptions(run_type="decision", background=True),
            )
            async with self._database.begin() as connection:
                answer = Answer([decision], TEMPORAL)
                run = await answer_approval(connection, request.conversation_id, answer, new)
                if run.status.is_open:
                    return Decided(turn=turn_of(run), run_id=run.id)
                pending = await pending_request(connection, request.conversation_id)
                return Decided(pending=pending, run_id=run.id)

    async def _ask_for_id(self, conversation_id: str) -> str:
        """What is answered to a verdict that names nothing, and could be about anything."""
        async with self._database.connect() as connection:
            pending = await get_pending_approval(connection, conversation_id)
        if pending is None:
            return NOTHING_WAITS
        return (
            f"Say in tool_call_id what is decided: one of {', '.join(pending.undecided)}, or "
            f"{pending.id} for all of them"
        )

    @activity.defn(name="find_pending")
    async def find_pending(self, conversation: ConversationRef) -> contract.PendingApproval | None:
        """The approval request that a conversation waits for, as Temporal shows it."""
        with as_activity_failure(), heartbeating():
            async with self._database.connect() as connection:
                return await pending_request(connection, conversation.conversation_id)


async def _begin(connection: AsyncConnection, run: Run, approval: Approval) -> StepOutcome:
    reply = await get_step_reply(connection, approval.run_id, approval.step_index)
    if reply is None:  # history was reset meanwhile
        return StepOutcome(-1)
    if digest_of(reply.gated_calls) != approval.digest:
        raise Conflict("The tool calls are not those that were shown for approval")
    await _keep_response(connection, run, approval)
    try:
        actor = Actor(organization_id=run.organization_id)
        agent = await get_agent(connection, actor, run.agent_id)
    except NotFound:
        return StepOutcome(-1, done=True)
    refs = call_refs(agent, run.id, approval.step_index, reply.tool_calls, asked_in=approval.run_id)
    decisions = {decision.tool_call_id: decision for decision in approval.decisions}
    left: list[CallRef] = []
    done = False
    for _, ordinal, call in await list_unanswered_calls(
        connection, approval.run_id, approval.step_index
    ):
        returned = _settled(call, decisions.get(call.id))
        if returned is None:
            left.append(refs[ordinal])
        else:
            done = await _commit(connection, run, agent, reply, ordinal, returned)
    return StepOutcome(-1, calls=[] if done else left, done=done)


def _settled(call: ToolCall, decision: Decision | None) -> ToolReturn | None:
    """The return of a call that is not to be made here."""
    if decision is None:
        return None
    return client_return(call, decision) if decision.approve else refusal(call, decision)


async def _commit(
    connection: AsyncConnection,
    run: Run,
    agent: Agent,
    reply: Message,
    ordinal: int,
    returned: ToolReturn,
) -> bool:
    """Commit a return; True when the run ends with it, as rules may want it."""
    step_id = str(reply.step_id)
    before = await list_step_returns(connection, step_id)
    history: list[ToolReturn] = []
    if need_history(agent.tool_rules):
        history = await list_request_returns(connection, run.id)
    then = after_call(
        agent,
        reply.tool_calls[ordinal],
        [*before.values(), returned],
        rule_state(agent.tool_rules, agent.tool_names, [*history, returned]),
        is_last_call=len(before) + 1 == len(reply.tool_calls),
        is_last_step=False,
    )
    if len(before) + 1 < len(reply.tool_calls):
        then = GO_ON  # nothing is said between the calls of one step
    await commit_return(
        connection, run, step_id, ordinal, returned, then=then, timezone=agent.timezone
    )
    return then.stop is not None


async def _keep_response(connection: AsyncConnection, run: Run, approval: Approval) -> None:
    """Put what was answered into history, behind the request."""
    message_id = response_message_id(run.id)
    if await get_message(connection, message_id) is not None:
        return
    response = response_message(run, approval, message_id, approval.decisions)
    await append_messages(connection, run.conversation_id, [response])
