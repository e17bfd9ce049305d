"""What all fake providers have in common: what they say, how they fail, what they were asked."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Body = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call that the model makes."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Say:
    """What the model says, before it is put into a wire's words."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    prompt_tokens: int = 100
    completion_tokens: int = 20
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Refusal:
    """An answer that is none: an HTTP status, with what the provider calls the error."""

    status: int
    message: str
    kind: str = ""


Fault = Literal["hangs", "drops", "ends early", "cut characters", "malformed", "error inside"]


class Broken(Exception):
    """The check found what the real provider would refuse."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def must(holds: object, message: str) -> None:
    """Refuse the request unless something holds."""
    if not holds:
        raise Broken(message)


def only(given: Body, allowed: str, where: str) -> None:
    """Refuse fields that are not in `allowed`, names between spaces."""
    if unknown := set(given) - set(allowed.split()):
        raise Broken(f"{where}: unknown field {sorted(unknown)[0]!r}")


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: Body


@dataclass
class Fake(ABC):
    """A provider that checks what it gets, and says what it is told to.

    Attributes:
        name: First part of its paths.
        says: What it says next; the last one is said again and again.
        fault: How it fails.
        refusal: What it answers instead of a reply.
        refuses: The field of a request's body that it does not know.
        refuses_images: Whether it cannot read images.
        asked: Every request that came.
        refused: What was wrong with those that it refused by itself.
    """

    name: ClassVar[str]
    model: ClassVar[str] = "model-1"

    says: list[Say] = field(default_factory=lambda: [Say(text="hello")])
    fault: Fault | None = None
    refusal: Refusal | None = None
    refuses: str = ""
    refuses_images: bool = False
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    replies: int = 0

    def reset(self) -> None:
        """Begin anew."""
        fresh = type(self)()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))

    @abstractmethod
    def paths(self) -> list[str]:
        """Where it is asked."""

    @abstractmethod
    def check(self, request: Request, body: Body) -> None:
        """Raise `Broken` for what the real one would refuse."""

    @abstractmethod
    def whole(self, say: Say, body: Body) -> Body:
        """A whole reply."""

    @abstractmethod
    def stream(self, say: Say, body: Body) -> list[bytes]:
        """The events of a streamed reply."""

    @abstractmethod
    def error(self, refusal: Refusal) -> Body:
        """The body of a refusal."""

    def streams(self, request: Request, body: Body) -> bool:
        """Whether a stream is asked for."""
        return bool(body.get("stream"))

    def error_event(self, refusal: Refusal) -> bytes:
        """A refusal amid a stream."""
        return b"data: " + json.dumps(self.error(refusal)).encode() + b"\n\n"

    media_type: ClassVar[str] = "text/event-stream"

    def routes(self) -> list[Route]:
        """Its paths, below its name."""
        return [
            Route(f"/{self.name}{path}", self._answer, methods=["POST"]) for path in self.paths()
        ]

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(Asked(request.url.path, dict(request.headers), body))
        if self.fault == "hangs":
            while not await request.is_disconnected():
                await asyncio.sleep(0.02)
            return Response()
        try:
            must(not _holds(body, self.refuses), self._unknown(self.refuses))
            must(not (self.refuses_images and has_image(body)), "Could not process image")
            self.check(request, body)
        except Broken as broken:
            self.refused.append(str(broken))
            refusal = Refusal(broken.status, str(broken))
            return JSONResponse(self.error(refusal), refusal.status)
        if self.refusal is not None and self.fault != "error inside":
            return JSONResponse(self.error(self.refusal), self.refusal.status, {"retry-after": "7"})
        return self._reply(request, body)

    def _unknown(self, name: str) -> str:
        return f"Unsupported parameter: '{name}' is not supported with this model."

    def _reply(self, request: Request, body: Body) -> Response:
        say = self.says[min(self.replies, len(self.says) - 1)]
        self.replies += 1
        if self.streams(request, body):
            pieces = self.stream(say, body)
            return StreamingResponse(
                self._sent(pieces), media_type=self.media_type, headers=self._headers(pieces)
            )
        return self._whole_reply(self.whole(say, body))

    def _whole_reply(self, reply: Body) -> Response:
        if self.fault == "error inside" and self.refusal is not None:
            reply = self.error(self.refusal)
        data = json.dumps(reply, ensure_ascii=False).encode()
        if self.fault == "malformed":
            data = data[: len(data) // 2]
        return StreamingResponse(
            self._sent([data]), media_type="application/json", headers=self._headers([data])
        )

    def _headers(self, pieces: list[bytes]) -> dict[str, str]:
        # A length that is not kept is how a client notices that a connection dropped.
        return {"content-length": str(sum(map(len, pieces)))} if self.fault == "drops" else {}

    async def _sent(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        if self.fault == "drops":
            half = b"".join(pieces)
            yield half[: len(half) // 2]
            raise ConnectionResetError
        if self.fault == "ends early":
            pieces = pieces[: len(pieces) // 2]
        if self.fault == "error inside" and self.refusal is not None and len(pieces) > 1:
            pieces = [*pieces[: len(pieces) // 2], self.error_event(self.refusal)]
        if self.fault == "malformed" and len(pieces) > 1:
            pieces = [self.garbled(piece) for piece in pieces]
        if self.fault == "cut characters":
            pieces = list(_cut_in_characters(b"".join(pieces)))
        for piece in pieces:
            yield piece
            if self.fault == "cut characters":
                await asyncio.sleep(0.002)  # else the halves travel together

    def garbled(self, piece: bytes) -> bytes:
        """An event that is none."""
        return piece.replace(b'"', b"'").replace(b"{", b"<")


def _cut_in_characters(data: bytes) -> Iterator[bytes]:
    """The data, cut in the middle of every character that has several bytes."""
    start = 0
    for at, byte in enumerate(data):
        if byte & 0xC0 == 0x80:  # inside of one
            yield data[start:at]
            start = at
    yield data[start:]


def _holds(body: Body, name: str) -> bool:
    """Whether a request has a field, also where settings stand together in one."""
    levels = [body, *(value for value in body.values() if isinstance(value, dict))]
    return any(name in level for level in levels)


def has_image(body: Any) -> bool:
    """Whether an image is anywhere in a request."""
    text = json.dumps(body)
    return any(sign in text for sign in ("image/png", "iVBOR"))


def sse(*events: Body, named: bool = False) -> list[bytes]:
    """Server-sent events, under their names where the wire gives them any."""
    return [
        (f"event: {event['type']}\n" if named else "").encode()
        + b"data: "
        + json.dumps(event, ensure_ascii=False).encode()
        + b"\n\n"
        for event in events
    ]


def halves(text: str) -> list[str]:
    """A text in two pieces, as a stream gives it."""
    return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]
