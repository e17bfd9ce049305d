"""Approval requests that wait: they can be answered here as if they had been made here."""

from collections.abc import Mapping, Sequence

from o.domain.messages import Message
from o.ids import derived_id
from o.storage.pending_requests import pending_rows
from server.letta_import.kind import Context
from server.letta_import.target import Target


def lock_waiting(target: Target, thread_ids: Sequence[str]) -> None:
    """Let nobody answer what waits in threads until the transaction ends."""
    target.query(
        "SELECT id FROM approvals WHERE conversation_id = ANY(%(threads)s) AND status = 'pending' "
        "ORDER BY created_at, id FOR UPDATE",
        {"threads": list(thread_ids)},
    )


def withdraw_others(
    target: Target, thread_id: str, pending: Message | None, copies: Mapping[str, str]
) -> None:
    """Close what waits in a thread and does not wait in V1, where it was answered since."""
    kept = copies.get(pending.id, pending.id) if pending else None
    target.query(
        "UPDATE approvals SET status = 'cancelled', decided_at = now() "
        "WHERE conversation_id = %(thread)s AND status = 'pending' "
        "AND id IS DISTINCT FROM %(kept)s",
        {"thread": thread_id, "kept": kept},
    )


def ask(context: Context, message: Message, copy_id: str | None, model: str) -> None:
    """Have a stored message wait for an answer, with the run that asked and its step.

    Args:
        context: The two databases; in a transaction, behind the message.
        message: What waits: its calls that do so have a gate.
        copy_id: The id that it has here where it is a copy, whose run and step are its own.
        model: The handle of the model that is taken to have replied.
    """
    target = context.target
    if copy_id is not None:
        own = {"run_id": derived_id("run", copy_id, "asked")}
        own |= {"step_id": derived_id("step", copy_id, "asked")}
        message = message.model_copy(update={"id": copy_id, **own})
        target.query(
            "UPDATE messages SET run_id = %(run_id)s, step_id = %(step_id)s WHERE id = %(id)s",
            {"id": copy_id, **own},
        )
    run, step, request = pending_rows(message, model)
    target.upsert("runs", [run], update=["steps_done", "status", "stop_reason"])
    target.upsert("steps", [step], update=["index"])
    target.upsert("approvals", [request])
