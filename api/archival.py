"""How passages come, whether they come again, and what follows once they are stored."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from api.deps import Parts
from o.domain.actors import Actor
from o.domain.archives import Archive
from o.storage.archives.passages import Arrival


async def _arrival(request: Request) -> Arrival:
    """Official clients count in a header how often they have sent a request before."""
    count = request.headers.get("x-stainless-retry-count", "0").strip()
    return Arrival(datetime.now(UTC), is_repeat=count not in ("", "0"))


ArrivalDep = Annotated[Arrival, Depends(_arrival)]


async def check_embedding(parts: Parts, actor: Actor, handle: str | None) -> None:
    """Refuse a model that nobody has; V1's own handles (`letta/…`) mean the default one.

    Raises:
        NotFound: No provider has it.
    """
    if handle is not None and not handle.startswith("letta/"):
        await parts.catalogue.get(handle, actor.organization_id)


def embed_soon(parts: Parts, archive: Archive) -> None:
    """Have what was added to an archive embedded, if there is a model for it.

    Behind the commit; nobody waits for it, and what is not started the sweeper finds.
    """
    if archive.embedding is not None or parts.default_embedding is not None:
        parts.embeddings.soon(archive.id)
