"""Responses that are made of a run's events while they come."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from o.domain.runs import RunEvent

Events = AsyncGenerator[list[RunEvent], None]
"""A run's events from the first, in batches, empty ones in silence (`RunWatcher.follow`)."""


class Following(StreamingResponse):
    """Follows a run as long as its client reads: whatever ends it, the run is let go of at once."""

    def __init__(
        self,
        events: Events,
        body: AsyncIterator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body."""
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
