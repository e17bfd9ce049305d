"""Chat completions: what is new is sent to the agent like any message, answered as OpenAI does."""

from dataclasses import replace

from fastapi import Request, Response

from api.answers.chat import ChatStream, WholeReply
from api.deps import Parts
from api.edge.request_log import note_run
from api.turns.sending import answer_when_finished, checked_send
from api.turns.turns import Send, Sent
from api.wire.chat import ChatBody
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import ClientReturn, Decision
from o.errors import ApprovalPending
from o.storage.approvals import get_approval
from o.storage.history.messages import get_message

# Editors and proxies in front of them give a silent stream up after 30 seconds and more.
_MOST_SILENCE_S = 15.0
_NOT_RUN = "The client went on without running this tool."


async def answer_chat(request: Request, parts: Parts, actor: Actor, body: ChatBody) -> Response:
    """Store the run and answer when it is finished, or stream what the agent says.

    Raises:
        NotFound: There is no such agent or conversation.
        InvalidInput: Nothing new is said, or something is asked that agents do not do.
        ApprovalPending: A person has to answer first.
    """
    thread = body.to_thread()
    send = await checked_send(request, parts, actor, body.to_send(), streams=body.streams)
    sent = await _send(parts, actor, thread, send)
    note_run(request.scope, sent.run.id, sent.run.conversation_id)
    if not body.streams:
        whole = WholeReply(sent.run, body.model)
        return await answer_when_finished(request, parts, actor, send, sent, whole)
    return ChatStream(
        parts.turns.follow(sent, actor),
        sent.run,
        model=body.model,
        shows_usage=body.shows_usage,
        keep_alive_s=min(_MOST_SILENCE_S, parts.settings.ping_interval_s),
    )


async def _send(parts: Parts, actor: Actor, thread: Thread, send: Send) -> Sent:
    """Send; where only tools of the client's wait, what it says without them ends the wait.

    These clients know no other way to go on: whoever stops a tool types the next message.
    """
    try:
        return await parts.turns.send(actor, thread, send)
    except ApprovalPending as pending:
        unmade = await _unmade(parts, pending) if send.decisions is None else []
        if not unmade:
            raise
        return await parts.turns.send(actor, thread, replace(send, decisions=unmade))


async def _unmade(parts: Parts, pending: ApprovalPending) -> list[Decision]:
    """What is answered for the client to its calls; nothing where a person has to answer one."""
    async with parts.database.connect() as connection:
        approval = await get_approval(connection, pending.request_id)
        message = await get_message(connection, pending.request_id)
    if approval is None or message is None:
        return []
    waiting = [call for call in message.gated_calls if call.id in approval.undecided]
    if any(call.gate != "client" for call in waiting):
        return []
    returned = ClientReturn(status="error", content=_NOT_RUN)
    return [
        Decision(tool_call_id=call.id, approve=True, returned=returned, request_id=approval.id)
        for call in waiting
    ]
