"""Reading streams as they come over the wire, which the official client hides."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.support.product import Product

Frame = tuple[int | None, str]
"""The number that a chunk shows, None where it shows none, and the chunk itself."""

_CLIENT = {"x-stainless-package-version": "1.12.1"}


def read(server: Product, path: str, **body: Any) -> Iterator[Frame]:
    """The chunks of a stream. Leaving off in the middle closes the connection."""
    url = f"{server.url}/v1/{path}"
    with httpx.stream("POST", url, json=body, headers=_CLIENT, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        waiting = ""
        for text in answer.iter_text():
            waiting += text
            *frames, waiting = waiting.split("\n\n")
            yield from ((number_of(frame), frame) for frame in frames)
        assert waiting == "", "the stream ended inside a chunk"


def number_of(frame: str) -> int | None:
    """The `seq_id` that a chunk shows."""
    number: int | None = body_of(frame).get("seq_id")
    return number


def body_of(frame: str) -> dict[str, Any]:
    """The JSON of a chunk; `[DONE]` holds nothing."""
    if is_done(frame):
        return {}
    body: dict[str, Any] = json.loads(frame.split("data: ", 1)[1])
    return body


def is_ping(frame: str) -> bool:
    """Whether a chunk is only a sign of life."""
    return body_of(frame).get("message_type") == "ping"


def is_done(frame: str) -> bool:
    """Whether a chunk is the last one."""
    return frame == "data: [DONE]"


def without_pings(frames: Iterator[Frame]) -> list[Frame]:
    """All chunks of a stream that is read to its end, but for pings."""
    return [found for found in frames if not is_ping(found[1])]
