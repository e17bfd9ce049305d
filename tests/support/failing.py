"""A provider that fails as a test has it fail, and answers as `FakeProvider` does otherwise."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.support.provider import FakeProvider


@dataclass
class Failing:
    """One way to fail.

    Attributes:
        status: HTTP status of the refusal.
        error: What it says.
        headers: What goes with it.
        hangs: Says nothing, until the caller hangs up.
        cuts: Ends the connection after this many words of a stream.
        inside: Says the error in the middle of a stream, or in a good answer.
    """

    status: int = 500
    error: dict[str, Any] = field(default_factory=lambda: {"message": "scripted"})
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    cuts: int | None = None
    inside: bool = False


class FailingProvider(FakeProvider):
    """Fails as often as it is told to.

    Attributes:
        next: What the next requests meet, one each.
        always: What every request meets once `next` is empty; None for nothing.
        taken: How many requests came in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.next: deque[Failing] = deque()
        self.always: Failing | None = None
        self.taken = 0

    def fail(self, *failings: Failing, always: Failing | None = None) -> None:
        """Forget what was counted and told before, and fail like this from now on."""
        self.next, self.always, self.taken = deque(failings), always, 0

    async def _complete(self, request: Request) -> Response:
        self.taken += 1
        failing = self.next.popleft() if self.next else self.always
        if failing is None:
            return await super()._complete(request)
        body = await request.json()
        if failing.hangs:
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            return Response(status_code=499)
        if failing.inside or failing.cuts is not None:
            if body.get("stream"):
                return StreamingResponse(_broken(failing), media_type="text/event-stream")
            return JSONResponse({"error": failing.error})
        return JSONResponse({"error": failing.error}, failing.status, failing.headers)


async def _broken(failing: Failing) -> AsyncIterator[bytes]:
    for n in range(failing.cuts or 2):
        choice = {"index": 0, "delta": {"content": f"half{n} "}, "finish_reason": None}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        await asyncio.sleep(0.05)
    if failing.inside:
        yield f"data: {json.dumps({'error': failing.error})}\n\n".encode()
        return
    raise ConnectionAbortedError("scripted end of the connection")
