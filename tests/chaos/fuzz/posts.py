"""Requests that are posted in the background and repeated, as the SDK does, until answered."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.chaos.killing import Background

How = Literal["json", "stream", "tokens", "async", "leave"]
"""How a client wants its answer; who leaves hangs up at the first chunk."""

_PATIENCE_S = 60.0
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        body: The JSON; of a stream, that of its chunks.
        texts: What the agent said.
        stop_reason: How the run ended, where the answer tells.
        error: What an error event of a stream says.
    """

    status: int
    body: Any = None
    texts: list[str] = field(default_factory=list)
    stop_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Request:
    """A POST that bears repeating."""

    url: str
    body: dict[str, Any]
    how: How


class Post(Background[Answer]):
    """A request under way; killed processes only make its answer late."""

    def __init__(self, client: httpx.Client, request: Request, *, repeats: int = 0) -> None:
        """Post it.

        Args:
            client: Whose connections are used.
            request: What to post.
            repeats: How often it was posted before, as the SDK says in a header.
        """
        self.request = request
        self._client = client
        self._repeats = repeats
        super().__init__(self._post)

    def _post(self) -> Answer:
        return patiently(self._attempt)

    def _attempt(self) -> Answer | None:
        headers = {
            "x-stainless-package-version": "1.12.1",
            "x-stainless-retry-count": str(self._repeats),
        }
        self._repeats += 1
        how, body = self.request.how, self.request.body
        with self._client.stream("POST", self.request.url, json=body, headers=headers) as answer:
            if is_passing(answer):
                return None
            if not answer.headers["content-type"].startswith("text/event-stream"):
                answer.read()
                return _of_json(answer)
            return _left(answer) if how == "leave" else _of_stream(answer)


def patiently(attempt: Callable[[], Answer | None]) -> Answer:
    """The answer of the first attempt that gets one."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            if (answer := attempt()) is not None:
                return answer
        assert time.monotonic() < deadline, "no answer"
        time.sleep(_PAUSE_S)


def is_passing(answer: httpx.Response) -> bool:
    """Whether the SDK would repeat what was answered so."""
    return answer.status_code == 503 or (
        answer.status_code == 409 and "retry-after" in answer.headers
    )


def _of_json(answer: httpx.Response) -> Answer:
    try:
        body = answer.json()
    except ValueError:
        return Answer(answer.status_code, answer.text)
    if answer.status_code != 200 or "messages" not in body:
        return Answer(answer.status_code, body)
    texts = [one["content"] for one in body["messages"] if _is_said(one)]
    return Answer(200, body, texts, body["stop_reason"]["stop_reason"])


def _of_stream(answer: httpx.Response) -> Answer | None:
    """The whole stream, None when it broke off."""
    frames = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    if not frames or frames[-1] != "[DONE]":
        return None
    chunks = [json.loads(frame) for frame in frames[:-1]]
    said: dict[str, str] = {}
    for chunk in filter(_is_said, chunks):
        said[chunk["id"]] = said.get(chunk["id"], "") + chunk["content"]
    stops = [one["stop_reason"] for one in chunks if one.get("message_type") == "stop_reason"]
    errors = [one["message"] for one in chunks if one.get("message_type") == "error_message"]
    last = stops[-1] if stops else None
    return Answer(200, chunks, list(said.values()), last, errors[-1] if errors else None)


def _left(answer: httpx.Response) -> Answer:
    next(answer.iter_bytes(), None)
    return Answer(200)


def _is_said(message: dict[str, Any]) -> bool:
    return message.get("message_type") == "assistant_message"
