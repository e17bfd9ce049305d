"""Conversations as Temporal runs them: started, handed runs, signalled, listed."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from o.domain.approvals import Approval
from o.domain.runs import Run
from o.temporal.refs import turn_of
from workflows import contract, options
from workflows.callback import CallbackWorkflow
from workflows.contract import CallbackRef, Cancel, ConversationState
from workflows.conversation import ConversationWorkflow
from workflows.temporal_ui import (
    AGENT_ID,
    AGENT_NAME,
    REQUIRES_APPROVAL,
    RUN_STATUS,
    memo_of,
    shown_name,
)


async def submit_run(
    client: Client,
    task_queue: str,
    run: Run,
    *,
    agent_name: str,
    model: str,
    is_warm: bool = False,
) -> None:
    """Hand a run to its conversation, started if it is not there. A repeat changes nothing.

    By a signal, because an update that meets the end of an execution or its hand-over to the next
    one is refused and comes a second late. Nobody here needs an answer: the database has the run.

    Args:
        client: For the operator's Temporal server.
        task_queue: Where workers poll.
        run: A run that is stored.
        agent_name: Shown in the Temporal UI, as is `model`.
        model: Handle.
        is_warm: Whether the conversation is likely to be there; a mere signal is cheaper.

    Raises:
        RPCError: Temporal is away; the sweeper submits the run when it is back.
    """
    turn = turn_of(run, model)
    if is_warm and await _signal(
        client, run.conversation_id, ConversationWorkflow.send_unanswered, turn
    ):
        return
    await client.start_workflow(
        ConversationWorkflow.run,
        ConversationState(
            run.conversation_id,
            run.agent_id,
            agent_name,
            history_limit=options.EVENTS_BETWEEN_TURNS_LIMIT,
        ),
        id=run.conversation_id,
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary=shown_name(agent_name),
        memo=memo_of(agent_name, None, datetime.now(UTC)),
        search_attributes=_attributes(run.agent_id, agent_name, "idle"),
        start_signal="send",
        start_signal_args=[turn],
    )


async def stop_cancelled(client: Client, conversation_id: str, run_ids: list[str]) -> None:
    """Have the work at runs that were cancelled stopped; a conversation that sleeps has none.

    Raises:
        RPCError: Temporal is away; a worker that comes late writes nothing.
    """
    request = Cancel(conversation_id, run_ids)
    await _signal(client, conversation_id, ConversationWorkflow.cancel_unanswered, request)


async def show_pending(
    client: Client,
    task_queue: str,
    approval: Approval,
    request: contract.PendingApproval,
    agent_name: str,
) -> None:
    """Start the conversation of a pending request where it is not there, with what it waits for.

    Raises:
        RPCError: Temporal is away.
    """
    await client.start_workflow(
        ConversationWorkflow.run,
        ConversationState(
            approval.conversation_id,
            approval.agent_id,
            agent_name,
            pending=request,
            history_limit=options.EVENTS_BETWEEN_TURNS_LIMIT,
        ),
        id=approval.conversation_id,
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary=shown_name(agent_name),
        memo=memo_of(agent_name, request, approval.created_at),
        search_attributes=_attributes(approval.agent_id, agent_name, REQUIRES_APPROVAL),
    )


async def list_shown_waiting(
    client: Client, task_queue: str, *, limit: int, page: bytes | None
) -> tuple[list[str], bytes | None]:
    """Some of the conversations of which Temporal's list says that they wait for an answer.

    Args:
        client: For the operator's Temporal server.
        task_queue: Where workers poll.
        limit: How many at most.
        page: What came with those before; None for the first.

    Returns:
        The conversations, and what to ask for the next ones with, None behind the last.

    Raises:
        RPCError: Temporal is away.
    """
    found = client.list_workflows(
        _shown_waiting(task_queue), page_size=limit, next_page_token=page or None
    )
    await found.fetch_next_page()
    return [one.id for one in found.current_page or ()], found.next_page_token or None


async def shown_waiting_among(
    client: Client, task_queue: str, conversation_ids: Collection[str]
) -> set[str]:
    """Those of these few conversations of which Temporal's list says that they wait.

    Raises:
        RPCError: Temporal is away.
    """
    if not conversation_ids:
        return set()
    named = ", ".join(f"'{one}'" for one in conversation_ids)
    query = f"{_shown_waiting(task_queue)} AND WorkflowId IN ({named})"
    return {found.id async for found in client.list_workflows(query)}


def _shown_waiting(task_queue: str) -> str:
    return (
        f"{RUN_STATUS.name} = '{REQUIRES_APPROVAL}' AND ExecutionStatus = 'Running' "
        f"AND TaskQueue = '{task_queue}'"
    )


async def refresh(client: Client, conversation_id: str) -> None:
    """Have a conversation compare what it shows to wait for with what the database knows.

    Raises:
        RPCError: Temporal is away.
    """
    await _signal(client, conversation_id, ConversationWorkflow.refresh)


async def close(client: Client, conversation_id: str) -> None:
    """Have a conversation that is being deleted take no more turns and end.

    Raises:
        RPCError: Temporal is away.
    """
    await _signal(client, conversation_id, ConversationWorkflow.close)


async def _signal(
    client: Client,
    conversation_id: str,
    signal: Callable[..., Awaitable[None] | None],
    *given: object,
) -> bool:
    """Signal a conversation; False when it is not there."""
    try:
        await client.get_workflow_handle(conversation_id).signal(signal, args=given)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


def _attributes(agent_id: str, agent_name: str, status: str) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(AGENT_ID, agent_id),
            SearchAttributePair(AGENT_NAME, shown_name(agent_name)),
            SearchAttributePair(RUN_STATUS, status),
        ]
    )


def callback_execution(of: str) -> str:
    """The id of the workflow that notifies a receiver of the end of a run or a batch."""
    return f"callback-{of}"


async def start_callback(client: Client, task_queue: str, run_id: str, *, agent_id: str) -> None:
    """Have a receiver notified of the end of a run. A repeat changes nothing.

    Raises:
        RPCError: Temporal is away; the sweeper starts the callback when it is back.
    """
    search = TypedSearchAttributes([SearchAttributePair(AGENT_ID, agent_id)])
    await _start_callback(client, task_queue, CallbackRef(run_id), "callback of a run", search)


async def start_batch_callback(client: Client, task_queue: str, batch_id: str) -> None:
    """The same of a batch, which only the sweeper does.

    Raises:
        RPCError: Temporal is away.
    """
    ref = CallbackRef(batch_id=batch_id)
    await _start_callback(client, task_queue, ref, "callback of a batch", TypedSearchAttributes([]))


async def _start_callback(
    client: Client,
    task_queue: str,
    callback: CallbackRef,
    summary: str,
    search: TypedSearchAttributes,
) -> None:
    await client.start_workflow(
        CallbackWorkflow.run,
        callback,
        id=callback_execution(callback.batch_id or callback.run_id),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        # An execution may have ended without result: terminated, or in a database that was lost.
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary=summary,
        search_attributes=search,
    )
