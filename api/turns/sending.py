"""Sends, to an agent's own thread and to conversations alike: accepted, then answered."""

from dataclasses import replace

from fastapi import Request, Response

from api.access.auth import refuse_without
from api.answers.json_answer import Render, Shown, json_answer
from api.answers.stream import EventStream, refused_stream
from api.deps import Parts
from api.edge.calls import refuse_to_tools
from api.edge.request_log import note_run
from api.turns.turns import Send, Sent
from api.wire.callbacks import AsyncBody
from api.wire.turns import SendBody
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import Decision
from o.domain.runs import Run
from o.errors import ApprovalPending, InvalidInput

_ROOM_KNOWN_S = 0.9  # one look at the disk a second for all who wait


async def answer_send(
    request: Request, parts: Parts, actor: Actor, thread: Thread, body: SendBody, *, streams: bool
) -> Response:
    """Store the run and answer when it is finished, or stream what comes of it.

    Args:
        request: What came, by which a client's own retry is known.
        parts: The application's.
        actor: Who sends.
        thread: Where to.
        body: What, as parsed.
        streams: Whether the answer is a stream of events.

    Raises:
        NotFound: There is no such agent, conversation or model.
        InvalidInput: There is nothing to send.
    """
    send = await checked_send(request, parts, actor, body, streams=streams)
    try:
        sent = await parts.turns.send(actor, thread, send)
    except ApprovalPending as error:
        if streams:
            return refused_stream(error, error.run_id)
        raise
    note_run(request.scope, sent.run.id, sent.run.conversation_id)
    if not streams:
        shown = Shown(body.include_return_message_types, body.to_view())
        return await answer_when_finished(request, parts, actor, send, sent, shown)
    return EventStream(
        parts.turns.follow(sent, actor),
        sent.run,
        ping_interval_s=parts.settings.ping_interval_s if body.include_pings else None,
    )


async def answer_when_finished(
    request: Request, parts: Parts, actor: Actor, send: Send, sent: Sent, render: Render
) -> Response:
    """Wait until the run is finished, and answer with what `render` makes of its log."""
    # Official clients hang up after a minute of silence, and ask again a few times only.
    patience_s = parts.settings.ping_interval_s if send.is_retry else None

    def check_room() -> None:
        parts.database.check_room(known_for_s=_ROOM_KNOWN_S)

    return await json_answer(
        parts.turns.follow(sent, actor),
        render,
        is_gone=request.is_disconnected,
        check_room=check_room,
        patience_s=patience_s,
    )


async def accept_send(
    request: Request, parts: Parts, actor: Actor, thread: Thread, body: AsyncBody
) -> Run:
    """Store the run and answer with it at once; how it ends is posted to `callback_url`.

    Raises:
        HTTPException: 403, a tool names an address, or see `checked_send`.
        NotFound: There is no such agent, conversation or model.
        ApprovalPending: The conversation waits for an answer first.
        InvalidInput: There is nothing to send, or `callback_url` is not where O may send.
    """
    await check_callback(request, parts, body.callback_url)
    send = await checked_send(request, parts, actor, body, streams=False)
    sent = await parts.turns.send(actor, thread, replace(send, callback_url=body.callback_url))
    note_run(request.scope, sent.run.id, sent.run.conversation_id)
    parts.callbacks.expect(sent.run)
    return sent.run


async def check_callback(request: Request, parts: Parts, url: str | None) -> None:
    """See that O may post to an address that a request names.

    Raises:
        HTTPException: 403, a tool names it.
        InvalidInput: O may not.
    """
    # O would post there what the tool's own way out may not reach.
    refuse_to_tools(request.scope, callback_url=url)
    refusal = await parts.outbound.refusal(url) if url else None
    if refusal is not None:
        raise InvalidInput(f"callback_url: {refusal}")


def is_retry(request: Request) -> bool:
    """Whether a client says that it has sent this before."""
    return request.headers.get("x-stainless-retry-count", "0") not in ("", "0")


async def checked_send(
    request: Request, parts: Parts, actor: Actor, body: SendBody, *, streams: bool
) -> Send:
    """The send, checked as far as it can be before it is stored.

    Raises:
        HTTPException: 403, a tool would decide what a person is asked, or a key does not let its
            owner decide, or say, anything.
        NotFound: There is no such model.
        InvalidInput: There is nothing to send.
    """
    decisions = body.to_decisions()
    refuse_to_tools(request.scope, approvals=decisions)
    _check_scopes(request, body, decisions)
    if body.messages is not None and not body.messages:
        raise InvalidInput("messages must not be empty")
    options = body.to_options(streams=streams)
    if body.override_model is not None:
        entry = await parts.catalogue.get(body.override_model, actor.organization_id)
        options = options.model_copy(update={"override_model": entry.handle})
    return Send(
        input=body.to_input(),
        options=options,
        body=await request.body(),
        is_retry=is_retry(request),
        otids=body.otids(),
        decisions=decisions,
        busy_policy=body.busy_policy,
    )


def _check_scopes(request: Request, body: SendBody, decisions: list[Decision] | None) -> None:
    """To decide what a person is asked is one thing, all else that can be sent another."""
    decided = [decision for decision in decisions or () if decision.returned is None]
    if decided:
        refuse_without(request.scope, "approve")
    changes = body.override_model, body.override_system, body.client_tools, body.client_skills
    if not decided or len(decided) < len(decisions or ()) or body.to_input() or any(changes):
        refuse_without(request.scope, "write")
