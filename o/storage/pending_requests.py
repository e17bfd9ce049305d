"""Approval requests that come with an imported history, and can be answered as if made here."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.approvals import digest_of
from o.domain.messages import Message
from o.domain.runs import RunStatus, StopReason
from o.storage.tables.core import approvals, runs, steps

Row = dict[str, Any]


async def add_pending_request(
    connection: AsyncConnection,
    message: Message,
    model: str,
    *,
    timeout_s: int | None = None,
) -> None:
    """Have a stored message wait for an answer: with a run that ended so, a step and a request.

    A repeat changes nothing.

    Args:
        connection: In a transaction, behind the message.
        message: The newest of its conversation; its calls that wait have a gate. It names its run
            and its step, which nothing else belongs to.
        model: The handle of the model that is taken to have replied.
        timeout_s: After how many seconds it is denied; None for never. They count from now: nobody
            could answer here before.
    """
    run, step, request = pending_rows(message, model)
    if timeout_s is not None:
        request["expires_at"] = func.now() + timedelta(seconds=timeout_s)
    for table, row in ((runs, run), (steps, step), (approvals, request)):
        await connection.execute(insert(table).values(row).on_conflict_do_nothing())


def pending_rows(message: Message, model: str) -> tuple[Row, Row, Row]:
    """The run that asked, its step and the request; whoever inserts them needs no defaults.

    Args:
        message: What waits, as it is stored.
        model: The handle of the model that is taken to have replied.
    """
    owned = {
        "organization_id": message.organization_id,
        "agent_id": message.agent_id,
        "created_at": message.created_at,
    }
    return (
        owned | _run_row(message),
        owned | _step_row(message, model),
        owned | _request_row(message),
    )


def _run_row(message: Message) -> Row:
    return {
        "id": message.run_id,
        "conversation_id": message.conversation_id,
        "request_key": f"imported:{message.id}",
        "body_hash": "",
        "status": RunStatus.COMPLETED,
        "stop_reason": StopReason.REQUIRES_APPROVAL,
        "input": [],
        "options": {},
        "usage": {},
        "steps_done": 1,
        "next_seq": 1,
        "completed_at": message.created_at,
        "events_kept": False,
    }


def _step_row(message: Message, model: str) -> Row:
    return {
        "id": message.step_id,
        "run_id": message.run_id,
        "index": 0,
        "status": "success",
        "attempts": 1,
        "model": model,
        "usage": {},
        "tags": [],
        "fallback": 0,
        "tries": 0,
        "failures": 0,
        "completed_at": message.created_at,
    }


def _request_row(message: Message) -> Row:
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "run_id": message.run_id,
        "step_id": message.step_id,
        "step_index": 0,
        "calls": [call.id for call in message.gated_calls],
        "digest": digest_of(message.gated_calls),
        "status": "pending",
        "decisions": [],
    }
