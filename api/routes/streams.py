"""Streams of runs read again: from any chunk, live while the run goes on, and after its end."""

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.answers.stream import EventStream
from api.deps import ActorDep, Parts, PartsDep, ReadsDep, RunId, ThreadId, thread_of
from api.documentation import STREAM
from api.edge.request_log import note_run
from api.turns.turns import Sent
from api.wire.conversations import AgentOfThreadBody
from api.wire.fields import Key, Text
from o.domain.actors import Actor
from o.domain.runs import Run
from o.errors import Gone, InvalidArgument, NotFound
from o.ids import is_id
from o.storage.runs import find_run
from o.storage.streams import find_newest_run

router = APIRouter()


class StreamBody(AgentOfThreadBody):
    """V1's `RetrieveStreamRequest`.

    `poll_interval` and `batch_size` are about V1's Redis; here the database notifies.
    """

    run_id: Text | None = None
    otid: Key | None = None
    starting_after: int = Field(0, ge=0)
    include_pings: bool | None = True
    poll_interval: float | None = Field(0.1, description="Accepted and not needed.")
    batch_size: int | None = Field(100, description="Accepted and not needed.")


@router.post(
    "/runs/{run_id}/stream",
    operation_id="retrieve_stream_for_run",
    summary="Read the stream of a run again",
    response_model=None,
    tags=["runs"],
    responses=STREAM,
)
async def of_run(
    run_id: RunId,
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
    body: StreamBody | None = None,
) -> Response:
    """The run's stream behind `starting_after`, until `[DONE]`. 410 once its log is purged.

    As in V1 the run must have been made in the background; that of any other can be read by
    `run_id` or `otid` at `/v1/conversations/{conversation_id}/stream`.
    """
    run = await find_run(connection, actor, run_id)
    _check_in_background(run)
    return _stream(parts, actor, run, body or StreamBody())


@router.post(
    "/conversations/{conversation_id}/stream",
    operation_id="retrieve_conversation_stream",
    summary="Read the stream of a conversation's run again",
    response_model=None,
    tags=["conversations"],
    responses=STREAM,
)
async def of_conversation(
    thread_id: ThreadId,
    request: Request,
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
    body: StreamBody | None = None,
) -> Response:
    """The stream of the newest run that is open, or of the one that `run_id` or `otid` names.

    `default` with `agent_id` is the agent's own thread, and so is the agent's id. As in V1, a
    `run_id` is enough by itself, and 400 means that no run is open, or that it was not made in
    the background.
    """
    asked = body or StreamBody()
    if asked.run_id is not None:
        if not is_id(asked.run_id, "run"):
            raise InvalidArgument("INVALID_ARGUMENT: run_id is not the id of a run")
        note_run(request.scope, asked.run_id)
        return _stream(parts, actor, await find_run(connection, actor, asked.run_id), asked)
    thread = thread_of(thread_id, asked.agent_id)
    run = await find_newest_run(connection, actor, thread, otid=asked.otid)
    if run is None and asked.otid is not None:
        raise NotFound("No run of this conversation was sent with this otid")
    if run is None:
        raise InvalidArgument("INVALID_ARGUMENT: No active runs found for this conversation.")
    if asked.otid is None:
        _check_in_background(run)
    note_run(request.scope, run.id, run.conversation_id)
    return _stream(parts, actor, run, asked)


def _check_in_background(run: Run) -> None:
    """V1's words, which clients compare."""
    if not run.options.background:
        raise InvalidArgument(
            "INVALID_ARGUMENT: Run was not created in background mode, so it cannot be retrieved."
        )


def _stream(parts: Parts, actor: Actor, run: Run, asked: StreamBody) -> EventStream:
    if not run.events_kept:
        raise Gone(f"The stream of run {run.id} is no longer kept; read its messages instead")
    pings = parts.settings.ping_interval_s if asked.include_pings is not False else None
    return EventStream(
        parts.turns.follow(Sent(run, is_new=False), actor),
        run,
        starting_after=asked.starting_after,
        ping_interval_s=pings,
    )
