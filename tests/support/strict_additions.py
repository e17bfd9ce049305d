"""Providers that add to their replies, and refuse a history in which that is missing or changed.

Each is as strict as the strictest that was reported. What they add follows from the reply alone, so
that they know it again, after a restart too.
"""

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.provider import Prompt, choose

Message = dict[str, Any]

_PLAIN = {"role", "content", "name", "tool_calls", "tool_call_id"}
_PLAIN_CALL = {"id", "type", "function", "index"}


class Refusal(Exception):
    """What is wrong with a history."""


def mark_of(message: Message) -> str:
    """What stands for a reply, or a call: other words have another one."""
    calls = [
        [one["function"]["name"], json.loads(one["function"]["arguments"])]
        for one in message.get("tool_calls") or []
    ]
    said = json.dumps([message.get("content") or "", calls], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def turns_of(prompt: Prompt) -> list[Prompt]:
    """The prompt cut before each message of the user."""
    turns: list[Prompt] = [[]]
    for message in prompt:
        if message["role"] == "user":
            turns.append([])
        turns[-1].append(message)
    return turns


def only(message: Message, *more: str, in_calls: str = "") -> None:
    """Refuse fields that the provider does not know, as Groq and Mistral do."""
    if unknown := set(message) - _PLAIN - set(more):
        raise Refusal(f"property {sorted(unknown)[0]!r} is unsupported")
    for one in message.get("tool_calls") or []:
        if unknown := set(one) - _PLAIN_CALL - {in_calls}:
            raise Refusal(f"property {sorted(unknown)[0]!r} is unsupported")


def is_own(message: Message, style: str) -> bool:
    """Whether a reply has calls that this provider made."""
    return any(one["id"].startswith(style) for one in message.get("tool_calls") or [])


class Plain:
    """Adds nothing, and takes nothing that others add."""

    def added(self, reply: Message) -> Message:
        return reply

    def pieces(self, reply: Message) -> list[Message]:
        """What the provider adds, as pieces of a stream before the rest."""
        return []

    def check(self, prompt: Prompt) -> None:
        for message in prompt:
            only(message)


class DeepSeek(Plain):
    """Wants its thoughts with each reply of a turn with calls, be they nothing, and no others."""

    def added(self, reply: Message) -> Message:
        return reply | {"reasoning_content": self.thought(reply)}

    def pieces(self, reply: Message) -> list[Message]:
        thought = self.thought(reply)
        return [{"reasoning_content": thought[:5]}, {"reasoning_content": thought[5:]}]

    def thought(self, reply: Message) -> str:
        return f"thought of {mark_of(reply)}"

    def check(self, prompt: Prompt) -> None:
        for turn in turns_of(prompt):
            has_calls = any(message.get("tool_calls") for message in turn)
            for message in turn:
                only(message, "reasoning_content")
                if message["role"] == "assistant":
                    self._check_reply(message, has_calls=has_calls)

    def _check_reply(self, message: Message, *, has_calls: bool) -> None:
        told = message.get("reasoning_content")
        if not has_calls:
            if told is not None:
                raise Refusal("reasoning_content may not stand in the input")
            return
        if told is None:
            raise Refusal(
                "The `reasoning_content` in the thinking mode must be passed back to the API."
            )
        own = [self.thought(message)]
        if told not in (own if is_own(message, "deepseek") else [*own, ""]):
            raise Refusal("that is not what was thought")


class Gemini(Plain):
    """Wants the signature of each of its calls, where it stood."""

    def added(self, reply: Message) -> Message:
        calls = [one | self._signed(one) for one in reply.get("tool_calls") or []]
        return reply | ({"tool_calls": calls} if calls else self._signed(reply))

    def _signed(self, said: Message) -> Message:
        of = said if "function" not in said else {"tool_calls": [said]}
        return {"extra_content": {"google": {"thought_signature": f"signed {mark_of(of)}"}}}

    def check(self, prompt: Prompt) -> None:
        for n, turn in enumerate(turns := turns_of(prompt)):
            for message in turn:
                only(message, "extra_content", in_calls="extra_content")
                for one in message.get("tool_calls") or []:
                    is_wanted = one["id"].startswith("gemini") or n == len(turns) - 1
                    if is_wanted and one.get("extra_content") != self._signed(one)["extra_content"]:
                        name = one["function"]["name"]
                        raise Refusal(
                            "Function call is missing a thought_signature in functionCall parts. "
                            f"Additional data, function call `default_api:{name}`"
                        )


class OpenRouter(Plain):
    """Wants its details as they were: in one piece, with their signature."""

    def added(self, reply: Message) -> Message:
        return reply | {"reasoning": self._text(reply), "reasoning_details": self._details(reply)}

    def pieces(self, reply: Message) -> list[Message]:
        text = self._text(reply)
        signed, sealed = self._details(reply)
        base = {name: signed[name] for name in ("type", "format", "index")}
        parts = [base | {"text": text[:4]}, base | {"text": text[4:]}]
        pieces: list[Message] = [
            {"reasoning": part["text"], "reasoning_details": [part]} for part in parts
        ]
        pieces.append({"reasoning_details": [base | {"signature": signed["signature"]}]})
        return [*pieces, {"reasoning_details": [sealed]}]

    def _text(self, reply: Message) -> str:
        return f"thought of {mark_of(reply)}"

    def _details(self, reply: Message) -> list[Message]:
        base = {"format": "anthropic-claude-v1", "index": 0}
        mark = mark_of(reply)
        return [
            base | {"type": "reasoning.text", "text": self._text(reply), "signature": mark},
            base | {"type": "reasoning.encrypted", "data": f"sealed {mark}", "index": 1},
        ]

    def check(self, prompt: Prompt) -> None:
        for message in prompt:
            only(message, "reasoning_details")
            told = message.get("reasoning_details")
            if told is None and not is_own(message, "openrouter"):
                continue
            if told != self._details(message):
                raise Refusal("messages.1.content.0: Invalid `signature` in `thinking` block")


STYLES: dict[str, Plain] = {
    "plain": Plain(),
    "deepseek": DeepSeek(),
    "gemini": Gemini(),
    "openrouter": OpenRouter(),
}


class StrictProviders:
    """All of them on one port.

    Attributes:
        prompts: What each was asked, by its name.
        refusals: What each has refused.
    """

    def __init__(self) -> None:
        self.prompts: dict[str, list[Prompt]] = {style: [] for style in STYLES}
        self.refusals: list[str] = []
        routes = [
            Route("/{style}/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/{style}/v1/models", self._models),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), host="127.0.0.1", port=0, log_level="warning"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        self._thread.join(10)

    def url(self, style: str) -> str:
        """The base URL of one."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/{style}/v1"

    async def _models(self, request: Request) -> Response:
        names = ("strict", "maker/strict")
        return JSONResponse({"data": [{"id": name, "object": "model"} for name in names]})

    async def _complete(self, request: Request) -> Response:
        style = request.path_params["style"]
        body = await request.json()
        prompt: Prompt = body["messages"]
        self.prompts[style].append(prompt)
        try:
            STYLES[style].check(prompt)
        except Refusal as refusal:
            self.refusals.append(f"{style}: {refusal}")
            error = {"message": str(refusal), "type": "invalid_request_error"}
            return JSONResponse({"error": error}, 400)
        reply = _reply(style, prompt)
        if body.get("stream"):
            return StreamingResponse(_streamed(style, reply), media_type="text/event-stream")
        finish = "tool_calls" if reply.get("tool_calls") else "stop"
        message = STYLES[style].added(reply)
        return JSONResponse({"choices": [{"message": message, "finish_reason": finish}]})


def _reply(style: str, prompt: Prompt) -> Message:
    action = choose(prompt)
    calls = [
        {"id": f"{style}_{len(prompt)}_{n}", "type": "function", "function": one}
        for n, one in enumerate(action.get("calls", []))
    ]
    reply: Message = {"role": "assistant", "content": action.get("say")}
    return reply | ({"tool_calls": calls} if calls else {})


async def _streamed(style: str, reply: Message) -> AsyncIterator[bytes]:
    frame: Callable[[Message, str | None], bytes] = lambda delta, finish: (  # noqa: E731
        f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': finish}]})}\n\n".encode()
    )
    whole = STYLES[style].added(reply)
    for piece in STYLES[style].pieces(reply):
        yield frame(piece, None)
    if whole.get("content"):
        of_text: Message = {
            name: whole[name] for name in ("content", "extra_content") if name in whole
        }
        yield frame(of_text, None)
    for n, one in enumerate(whole.get("tool_calls") or []):
        arguments = one["function"]["arguments"]
        head = one["function"] | {"arguments": arguments[:7]}
        yield frame({"tool_calls": [one | {"index": n, "function": head}]}, None)
        rest = {"index": n, "function": {"arguments": arguments[7:]}}
        yield frame({"tool_calls": [rest]}, None)
    yield frame({}, "tool_calls" if whole.get("tool_calls") else "stop")
    yield b"data: [DONE]\n\n"
