"""The statements that a tool call costs beside its own: one tells what it needs, one ends it."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.messages import Message, ToolReturn
from o.domain.runs import Run, RunClosed
from o.domain.tools import StoredTool
from o.errors import Unreadable
from o.storage.held_tools import CALLED_TOOL
from o.storage.rows import UnreadableJson, model_of_json
from o.storage.turn.committing import STORE_AND_NOTIFY, store_and_notify

_NAME = "(reply.tool_calls -> CAST(:ordinal AS integer) ->> 'name')"
_READ_STEP = text(
    f"""
    SELECT to_jsonb(reply) AS reply, to_jsonb(agents) AS agent,
        agents.deleted_at IS NOT NULL AS is_gone,
        (SELECT coalesce(jsonb_object_agg(messages.id, messages.tool_return), '{{}}')
         FROM messages
         WHERE messages.step_id = steps.id AND messages.role = 'tool') AS returns,
        (SELECT coalesce(array_agg(tool_starts.ordinal), '{{}}') FROM tool_starts
         WHERE tool_starts.step_id = steps.id) AS started,
        {CALLED_TOOL.format(name=_NAME)} AS tool
    FROM steps
    JOIN messages AS reply ON reply.step_id = steps.id AND reply.role = 'assistant'
    JOIN agents ON agents.id = steps.agent_id
    WHERE steps.run_id = :run_id AND steps.index = :index
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
        RETURNING next_position - :message_count AS position
    ), {STORE_AND_NOTIFY}
    SELECT
    """  # noqa: S608
)


@dataclass(frozen=True)
class CalledStep:
    """A step whose calls are being made.

    Attributes:
        reply: The message that asks for them.
        agent: None when it was deleted.
        returns: What they have returned so far, by message id.
        tool: What the call in question calls, where that is a row and the agent has it.
        started: The ordinals of those that may have had an effect outside of here.
    """

    reply: Message
    agent: Agent | None
    returns: dict[str, ToolReturn]
    tool: StoredTool | None = None
    started: frozenset[int] = frozenset()


async def read_called_step(
    connection: AsyncConnection, run_id: str, index: int, ordinal: int
) -> CalledStep | None:
    """A step with what one of its calls needs, None while it has no reply.

    Where returns are to be counted, the caller has locked the run, by a statement of its own: a
    statement that waits for a lock goes on with what it saw before.

    Raises:
        Unreadable: Some of it is stored, and cannot be read.
    """
    given = {"run_id": run_id, "index": index, "ordinal": ordinal}
    row = (await connection.execute(_READ_STEP, given)).one_or_none()
    if row is None:
        return None
    if isinstance(row.returns, UnreadableJson):
        raise Unreadable("A tool return of", run_id)
    returns = {id_: model_of_json(ToolReturn, found, id_) for id_, found in row.returns.items()}
    agent = None if row.is_gone else model_of_json(Agent, row.agent, run_id)
    tool = None if row.tool is None else model_of_json(StoredTool, row.tool, run_id)
    reply = model_of_json(Message, row.reply, run_id)
    return CalledStep(reply, agent, returns, tool, frozenset(row.started))


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
