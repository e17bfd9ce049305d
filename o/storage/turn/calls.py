"""The statements that a tool call costs beside its own: one tells what it needs, one ends it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.messages import Message, ToolReturn
from o.domain.runs import Run, RunClosed
from o.domain.tool_variables import ToolVariable
from o.domain.tools import StoredTool
from o.errors import Unreadable
from o.storage.agents.thread_blocks import SEEN_BLOCKS
from o.storage.quick import QuickConnection
from o.storage.rows import UnreadableJson, model_of_json, models_of_json
from o.storage.tools.variables import SEEN_VARIABLES
from o.storage.turn.committing import (
    LOCKED_AT,
    STORE_AND_NOTIFY,
    STORE_NEW_AND_NOTIFY,
    store_and_notify,
)

_NAME = "(reply.tool_calls -> CAST(:ordinal AS integer) ->> 'name')"
_READ_CALL = text(
    f"""
    SELECT to_jsonb(run) AS run, to_jsonb(reply) AS reply, to_jsonb(agents) AS agent,
        agents.deleted_at IS NOT NULL AS is_gone,
        (SELECT coalesce(jsonb_object_agg(messages.id, messages.tool_return), '{{}}')
         FROM messages
         WHERE messages.step_id = steps.id AND messages.role = 'tool') AS returns,
        (SELECT coalesce(array_agg(tool_starts.ordinal), '{{}}') FROM tool_starts
         WHERE tool_starts.step_id = steps.id) AS started,
        CASE WHEN tools.id IS NOT NULL THEN to_json(tools) END AS tool,
        CASE WHEN :to_run AND coalesce(tools.tool_type, {_NAME}) IN ('custom', 'web_search')
            THEN {SEEN_VARIABLES} END AS variables,
        CASE WHEN :to_run AND tools.tool_type = 'custom'
                AND position('agent_state' IN tools.source_code) > 0
            THEN {SEEN_BLOCKS} END AS blocks
    FROM runs AS run
    LEFT JOIN steps ON steps.run_id = coalesce(CAST(:asked_in AS text), run.id)
        AND steps.index = :index
    LEFT JOIN messages AS reply ON reply.step_id = steps.id AND reply.role = 'assistant'
    LEFT JOIN agents ON agents.id = steps.agent_id
    LEFT JOIN tools ON tools.organization_id = agents.organization_id
        AND tools.name = {_NAME} AND tools.name = ANY(agents.tool_names)
    WHERE run.id = :run_id
    """  # noqa: S608
)

_COMMIT_RETURN = text(
    f"""
    WITH run AS (
        UPDATE runs SET
            next_seq = next_seq + :event_count,
            status = coalesce(CAST(:status AS text), status),
            stop_reason = CAST(:stop_reason AS text),
            completed_at = CASE WHEN CAST(:status AS text) IS NULL THEN NULL ELSE now() END
        WHERE id = :run_id AND status IN ('created', 'running')
        RETURNING next_seq - :event_count AS first_seq
    ), conversation AS (
        UPDATE conversations SET next_position = next_position + :message_count
        WHERE conversations.id = :conversation_id
        RETURNING next_position - :message_count AS position, {LOCKED_AT}
    ), {STORE_AND_NOTIFY}
    SELECT
    """  # noqa: S608
)


_COMMIT_RETURN_ALONE = text(
    f"""
    WITH run AS (
        UPDATE runs SET next_seq = next_seq + :event_count
        WHERE id = :run_id AND status IN ('created', 'running') AND EXISTS (
            SELECT FROM agents WHERE agents.id = :agent_id AND agents.deleted_at IS NULL
        )
        RETURNING next_seq - :event_count AS first_seq
    ), conversation AS (
        UPDATE conversations SET next_position = next_position + :message_count
        FROM run WHERE conversations.id = :conversation_id
        RETURNING next_position - :message_count AS position, {LOCKED_AT}
    ), {STORE_NEW_AND_NOTIFY}
    SELECT first_seq FROM run
    """  # noqa: S608
)


@dataclass(frozen=True)
class CalledStep:
    """A step whose calls are being made.

    Attributes:
        run: That makes them, as it is now.
        reply: The message that asks for them; None while there is none, or when the run is closed.
        agent: None when it was deleted.
        returns: What they have returned so far, by message id.
        tool: What the call in question calls, where that is a row and the agent has it.
        started: The ordinals of those that may have had an effect outside of here.
        variables: What the tool sees of variables, as they are stored; None where it was not asked
            for or needs none.
        blocks: What the tool sees of the agent's memory, likewise.
    """

    run: Run
    reply: Message | None
    agent: Agent | None
    returns: dict[str, ToolReturn]
    tool: StoredTool | None = None
    started: frozenset[int] = frozenset()
    variables: Sequence[ToolVariable] | None = None
    blocks: Sequence[Block] | None = None


async def read_called_step(
    connection: AsyncConnection | QuickConnection,
    run_id: str,
    asked_in: str,
    index: int,
    ordinal: int,
    *,
    to_run: bool,
) -> CalledStep | None:
    """A step with what one of its calls needs, None when the run was deleted.

    Where returns are to be counted, the caller has locked the run, by a statement of its own: a
    statement that waits for a lock goes on with what it saw before.

    Args:
        connection: In a transaction, or committing by itself.
        run_id: The run that makes the call.
        asked_in: The run of the step, where that is another one.
        index: Which step of it.
        ordinal: Which call.
        to_run: Whether the call is to be made now, outside of here, and needs what its tool sees.

    Raises:
        Unreadable: Some of it is stored, and cannot be read.
    """
    given = {
        "run_id": run_id,
        "asked_in": asked_in or None,
        "index": index,
        "ordinal": ordinal,
        "to_run": to_run,
    }
    row = (await connection.execute(_READ_CALL, given)).one_or_none()
    if row is None:
        return None
    run = model_of_json(Run, row.run, run_id)
    if row.reply is None or not run.status.is_open:
        return CalledStep(run, None, None, {})
    if isinstance(row.returns, UnreadableJson):
        raise Unreadable("A tool return of", run_id)
    seen, blocks = row.variables, row.blocks
    return CalledStep(
        run,
        model_of_json(Message, row.reply, run_id),
        None if row.is_gone else model_of_json(Agent, row.agent, run_id),
        {id_: model_of_json(ToolReturn, found, id_) for id_, found in row.returns.items()},
        None if row.tool is None else model_of_json(StoredTool, row.tool, run_id),
        frozenset(row.started),
        None if seen is None else models_of_json(ToolVariable, seen, run_id),
        None if blocks is None else models_of_json(Block, blocks, run_id),
    )


async def append_return_alone(connection: QuickConnection, run: Run, message: Message) -> bool:
    """Put the return of a call into history and into the log, in one statement.

    Returns:
        False, and nothing is written, when the run is closed or its agent is gone.

    Raises:
        psycopg.errors.UniqueViolation: The call has returned before.
    """
    values = {
        "run_id": run.id,
        "conversation_id": run.conversation_id,
        "agent_id": run.agent_id,
        "attempt": 1,
        **store_and_notify([message], [message], None),
    }
    return (await connection.execute(_COMMIT_RETURN_ALONE, values)).one_or_none() is not None


async def append_returns(
    connection: AsyncConnection,
    run: Run,
    kept: list[Message],
    shown: list[Message],
    closed: RunClosed | None,
) -> None:
    """Put messages into history and, while the run is open, into its log; close it if it ends here.

    Args:
        connection: In the transaction that has locked the run.
        run: Whose calls returned.
        kept: In order, with positions that count from 0.
        shown: Those of them that the log shows.
        closed: The end of the run, if this is it.
    """
    await connection.execute(
        _COMMIT_RETURN,
        {
            "run_id": run.id,
            "conversation_id": run.conversation_id,
            "agent_id": run.agent_id,
            "attempt": 1,
            **store_and_notify(kept, shown, closed),
        },
    )
