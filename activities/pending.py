"""What a conversation waits for, as its workflow knows it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.approvals import Approval
from o.storage.approvals import get_pending_approval
from o.storage.history.messages import get_message
from o.temporal.refs import waiting_for
from workflows import contract


async def pending_request(
    connection: AsyncConnection, conversation_id: str
) -> contract.PendingApproval | None:
    """What a conversation waits for, if anything.

    Also what a workflow learns with a run that closed long ago: it may have closed with the
    request, and its worker have died before it could say so.
    """
    pending = await get_pending_approval(connection, conversation_id)
    return await shown_request(connection, pending) if pending else None


async def shown_request(
    connection: AsyncConnection, approval: Approval
) -> contract.PendingApproval:
    """A pending request, less the calls that were answered already."""
    request = await get_message(connection, approval.id)
    waiting = set(approval.undecided)
    calls = [call for call in request.gated_calls if call.id in waiting] if request else []
    return waiting_for(approval.id, calls)
