"""A provider that refuses what some real one refuses, in its words, and else says hello."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

Body = dict[str, Any]
Habit = Callable[[Body], tuple[int, Any] | None]
"""Answers status and body of a refusal, None for a request that is taken."""


def openai_error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **more}}


def refuses_field(name: str, status: int, answer: Any) -> Habit:
    """Refuses a field of a request, with an answer that may say `{name}`, or `{inOneWord}`."""
    in_one_word = re.sub("_(.)", lambda found: found[1].upper(), name)
    said = json.dumps(answer).replace("{name}", name).replace("{inOneWord}", in_one_word)
    said = json.loads(said)
    return lambda body: (status, said) if name in body else None


def roles(body: Body) -> list[str]:
    return [message["role"] for message in body["messages"]]


def wants_turns(status: int, answer: Any) -> Habit:
    """As templates count: what a call and its return are counts as the assistant's."""

    def habit(body: Body) -> tuple[int, Any] | None:
        spoken = [
            message["role"]
            for message in body["messages"]
            if message["role"] == "user"
            or (message["role"] == "assistant" and not message.get("tool_calls"))
        ]
        fits = all(role == ("user", "assistant")[n % 2] for n, role in enumerate(spoken))
        return None if fits else (status, answer)

    return habit


def images_of(body: Body) -> list[str]:
    return [
        part["image_url"]["url"]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def calls_of(body: Body) -> list[dict[str, Any]]:
    return [call for message in body["messages"] for call in message.get("tool_calls") or []]


def refuses(when: Callable[[Body], Any], status: int, answer: Any) -> Habit:
    return lambda body: (status, answer) if when(body) else None


def name_is_odd(body: Body) -> bool:
    names = [call["function"]["name"] for call in calls_of(body)]
    return not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)


def arguments_are_odd(body: Body) -> bool:
    for call in calls_of(body):
        text = call["function"]["arguments"]
        try:
            parsed = json.loads(text, parse_constant=lambda constant: 1 / 0)
            json.dumps(parsed, ensure_ascii=False).encode()
        except (ValueError, ZeroDivisionError):
            return True
        if not isinstance(parsed, dict):
            return True
    return False


@dataclass
class RefusingProvider:
    """A running provider with habits.

    Attributes:
        calls: The tool that it calls in each reply.
    """

    habits: list[Habit] = field(default_factory=list)
    asked: list[Body] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    url: str = ""
    calls: str | None = None

    async def answer(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.asked.append(body)
        for habit in self.habits:
            if (refused := habit(body)) is not None:
                status, said = refused
                self.statuses.append(status)
                if isinstance(said, str):
                    return PlainTextResponse(said, status)
                return JSONResponse(said, status)
        self.statuses.append(200)
        message: dict[str, Any] = {"role": "assistant", "content": "hello"}
        if self.calls is not None:
            function = {"name": self.calls, "arguments": "{}"}
            called = {"id": "call_1", "index": 0, "type": "function", "function": function}
            message |= {"tool_calls": [called]}
        if not body.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            return JSONResponse({"choices": [choice]})
        chunk = {"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}
        frames = (f"data: {frame}\n\n" for frame in (json.dumps(chunk), "[DONE]"))
        return StreamingResponse(frames, media_type="text/event-stream")

    def forget(self) -> None:
        """Forget what was asked."""
        self.asked.clear()
        self.statuses.clear()


@contextmanager
def refusing_provider() -> Iterator[RefusingProvider]:
    provider = RefusingProvider()
    app = Starlette(routes=[Route("/v1/chat/completions", provider.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    provider.url = f"http://127.0.0.1:{port}/v1"
    yield provider
    server.should_exit = True
    thread.join(10)
