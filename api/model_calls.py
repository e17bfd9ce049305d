"""Asks a model outside of any turn, through a worker."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import HTTPException

from api.agents.new_agents import find_model
from api.deps import Parts
from o.domain.actors import Actor
from o.domain.llm import ModelReply, ModelRequest
from o.errors import InvalidArgument
from o.llm.providers.catalogue import Catalogue, CatalogueEntry
from o.storage.worker_requests import ASK_MODEL

_SPARE_S = 30.0
"""Beside the model's own time: to have a worker, and to keep what came of it."""

_LOOK_S = 1.0
_CLIENT_IS_GONE = 499

IsGone = Callable[[], Awaitable[bool]]
"""Whether the client has hung up."""


async def find_writer(handle: str, actor: Actor, catalogue: Catalogue) -> CatalogueEntry:
    """The model by that handle, which is one that writes text.

    Raises:
        InvalidArgument: It is no handle, or that of a model that embeds.
        NotFound: There is no such model.
    """
    entry = await find_model(handle, actor, catalogue)
    if entry.embeds:
        raise InvalidArgument(f"INVALID_ARGUMENT: {entry.handle} embeds text, and writes none")
    return entry


async def ask_model(
    parts: Parts, actor: Actor, call: ModelRequest, *, agent_id: str | None, is_gone: IsGone
) -> ModelReply:
    """What a model answers, which is asked as often as one of a turn where it is busy or down.

    Args:
        parts: Of the application. No transaction is to be open.
        actor: Who asks: the model is one of their organization's.
        call: What is asked.
        agent_id: For whom it is counted; None where it is for no agent.
        is_gone: Nobody pays for what nobody reads: the call is stopped where this says so.

    Raises:
        ModelError: There is no usable reply.
        HTTPException: 499, the client has hung up.
        Unavailable: No worker has answered in time.
    """
    within_s = parts.settings.model_timeout_s
    request = {"call": call.model_dump(mode="json"), "agent_id": agent_id, "within_s": within_s}
    asking = asyncio.ensure_future(
        parts.workers.ask(actor.organization_id, ASK_MODEL, request, timeout_s=within_s + _SPARE_S)
    )
    try:
        while not (await asyncio.wait({asking}, timeout=_LOOK_S))[0]:
            if await is_gone():
                raise HTTPException(_CLIENT_IS_GONE, "The client has hung up.")
        return ModelReply.model_validate(asking.result())
    finally:
        if not asking.done():
            asking.cancel()
            await asyncio.wait({asking}, timeout=_LOOK_S)
