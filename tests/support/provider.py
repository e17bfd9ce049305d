"""A model provider on loopback that speaks the OpenAI wire and does what the prompt says.

What it answers follows from the prompt alone, never from how often it was asked, so that a
retried or repeated call gets the same reply. A user message that starts with `do:` holds a list
of actions in JSON; the provider takes the one whose turn it is by the replies that stand behind
that message. Any other message is answered from the system prompt.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.windows import summary_action, tokens_of, too_long, window_of
from tests.support.writing import writing_action

MODEL = "scripted"
HANDLE = f"openai/{MODEL}"
OTHER_MODEL = "scripted-too"
OTHER_HANDLE = f"openai/{OTHER_MODEL}"
EMBEDDING_MODEL = "text-embedding-scripted"
EMBEDDING_HANDLE = f"openai/{EMBEDDING_MODEL}"

_ENDS_TURN = ("send_message", "memory_finish_edits")

Prompt = list[dict[str, Any]]
Action = dict[str, Any]


def do(*actions: Action) -> str:
    """A user message that makes the provider take these actions, one for each step."""
    return "do:" + json.dumps(actions)


def call(name: str, /, **arguments: Any) -> Action:
    """Call one tool."""
    return {"calls": [{"name": name, "arguments": json.dumps(arguments)}]}


def together(*actions: Action) -> Action:
    """Call several tools in one reply."""
    calls = [one for action in actions for one in action["calls"]]
    return {"calls": calls}


def counting_anew(action: Action) -> Action:
    """The same action by a model that counts its calls from 0 in each reply, in long ids."""
    return action | {"ids": "anew"}


def with_one_id(action: Action) -> Action:
    """The same action by a model that gives one long id to all calls of all replies."""
    return action | {"ids": "one"}


def say(text: str) -> Action:
    """Answer in plain text."""
    return {"say": text}


def costing(action: Action, **usage: Any) -> Action:
    """The same action by a provider that tells this `usage` of it."""
    return action | {"usage": usage}


@dataclass
class Gate:
    """Holds requests until it is opened."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


class GivenIds:
    """The ids that models gave their calls, which must come back to them as they went out."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], set[tuple[str, ...]]] = {}

    def note(self, model: str, reply: dict[str, Any]) -> None:
        """Note the ids of a reply by what it calls."""
        calls = reply.get("tool_calls", [])
        ids = tuple(one["id"] for one in calls)
        self._given.setdefault((model, _called(calls)), set()).add(ids)

    def problems_of(self, model: str, prompt: Prompt) -> list[str]:
        """Replies of this model in a prompt that have other ids than it gave them.

        Replies with calls that it has never made, or with other arguments, are not judged.
        """
        problems = []
        for message in prompt:
            calls = message.get("tool_calls") or []
            ids = tuple(one["id"] for one in calls)
            known = self._given.get((model, _called(calls))) if calls else None
            if known is not None and ids not in known:
                problems.append(f"calls that were given other ids than {ids}")
        return problems


def _called(calls: list[dict[str, Any]]) -> str:
    return json.dumps([one["function"] for one in calls], sort_keys=True)


class FakeProvider:
    """A running provider.

    Attributes:
        requests: The body of every request for a reply that came in.
        prompts: The prompt of each.
        embedded: The body of every request for vectors, which workers send at times of their own.
        problems: What was wrong with them.
    """

    def __init__(self, *models: str, host: str = "127.0.0.1", port: int = 0) -> None:
        """Not started yet.

        Args:
            models: What it lists; the scripted ones by default.
            host: Where it listens.
            port: The same; a free one by default.
        """
        self.listed = models or (MODEL, OTHER_MODEL, EMBEDDING_MODEL)
        self.requests: list[dict[str, Any]] = []
        self.prompts: list[Prompt] = []
        self.embedded: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.hung_up = 0  # how many did not wait at a gate
        self._given = GivenIds()
        self._gates: list[tuple[Callable[[Prompt], bool], Gate]] = []
        self._failures: dict[str, int] = {}
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/embeddings", self._embed, methods=["POST"]),
            Route("/v1/models", self._models),
        ]
        config = uvicorn.Config(Starlette(routes=routes), host=host, port=port, log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop listening."""
        for _, gate in self._gates:
            gate.opened.set()
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is set to."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    def hold(self, when: Callable[[Prompt], bool]) -> Gate:
        """Keep the next request that fits until the returned gate is opened."""
        gate = Gate()
        self._gates.append((when, gate))
        return gate

    def asked(self, text: str) -> int:
        """How many requests had this text as their last user message."""
        return sum(last_user_text(prompt) == text for prompt in self.prompts)

    async def _models(self, request: Request) -> Response:
        models = [{"id": name, "object": "model"} for name in self.listed]
        return JSONResponse({"object": "list", "data": models})

    async def _embed(self, request: Request) -> Response:
        """Vectors of three numbers, the length of the input first, in reverse order."""
        body = await request.json()
        self.embedded.append(body)
        inputs = body["input"]
        if body.keys() - {"model", "input", "dimensions"} or "refuse" in inputs:
            error = {"message": "scripted failure", "type": "invalid_request_error"}
            return JSONResponse({"error": error}, status_code=400)
        data = [
            {"object": "embedding", "index": n, "embedding": [float(len(text)), 0.5, -1e-7]}
            for n, text in enumerate(inputs)
        ]
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        return JSONResponse({"object": "list", "data": data[::-1], "usage": usage})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        prompt: Prompt = body["messages"]
        if not is_prompt(prompt):
            # It is refused, as by a real one, and in no list that other tests look through.
            self.problems.append(f"messages that are none: {str(prompt)[:200]}")
            return JSONResponse({"error": {"message": "messages that are none"}}, status_code=400)
        self.requests.append(body)
        self.prompts.append(prompt)
        self.problems += problems_of(prompt) + problems_of_tools(body)
        self.problems += self._given.problems_of(body["model"], prompt)
        await self._wait_at_gate(request, prompt)
        action = choose(prompt)
        if body.get("tool_choice") == "required" and is_legacy(body):
            action = forced(action)
        window = window_of(prompt)
        if window is not None:
            tokens = tokens_of(body)
            if tokens > window:
                return too_long(tokens, window)
            action = action | {"usage": {"prompt_tokens": tokens, "completion_tokens": 7}}
        fails = action.get("only") in (None, body["model"])
        if fails and (failed := self._failure(action, prompt)) is not None:
            return failed
        await asyncio.sleep(action.get("delay_s", 0))
        self._given.note(body["model"], _message(action))
        if body.get("stream"):
            pieces = _chunks(action)
            if self._breaks(action, prompt):
                pieces = _broken_off(pieces, action["break_after"])
            return StreamingResponse(pieces, media_type="text/event-stream")
        return JSONResponse(_whole(action))

    async def _wait_at_gate(self, request: Request, prompt: Prompt) -> None:
        for entry in list(self._gates):
            when, gate = entry
            if when(prompt):
                self._gates.remove(entry)
                gate.reached.set()
                while not gate.opened.is_set():
                    if await request.is_disconnected():
                        self.hung_up += 1
                        return
                    await asyncio.sleep(0.005)

    def _breaks(self, action: Action, prompt: Prompt) -> bool:
        """Whether the stream breaks off after `break_after` pieces, as it does `times` times."""
        if "break_after" not in action:
            return False
        key = f"break {last_user_text(prompt)}"
        self._failures[key] = self._failures.get(key, 0) + 1
        return self._failures[key] <= int(action.get("times", 1))

    def _failure(self, action: Action, prompt: Prompt) -> Response | None:
        """The error that the action asks for, `times` times for the same user message.

        With `only`, requests for that model alone meet it.
        """
        if "fail" not in action:
            return None
        key = last_user_text(prompt)
        self._failures[key] = self._failures.get(key, 0) + 1
        if self._failures[key] > action.get("times", 1_000):
            return None
        error = {"message": "scripted failure", "type": "scripted", "code": action.get("code")}
        return JSONResponse({"error": error}, status_code=action["fail"])


def choose(prompt: Prompt) -> Action:
    """What to do about a prompt."""
    text = last_user_text(prompt)
    scripted = summary_action(prompt) or writing_action(prompt)
    if scripted is not None:
        return scripted
    if text.startswith("do:"):
        actions: list[Action] = json.loads(text.removeprefix("do:"))
        taken = 0
        for message in reversed(prompt):
            if message["role"] == "user" and not is_heartbeat(message):
                break
            taken += message["role"] == "assistant"
        return actions[min(taken, len(actions) - 1)]
    if known := re.search(r"name is (\w+)", prompt[0]["content"]):
        return say(f"You are {known[1]}.")
    return say(f"You said: {text}")


def is_heartbeat(message: dict[str, Any]) -> bool:
    """Whether a message is the event that wakes an agent of the legacy loop again."""
    return str(message["content"]).startswith('{"type": "heartbeat"')


def is_legacy(body: dict[str, Any]) -> bool:
    """Whether a request is of the legacy loop, which has a model speak and think in calls."""
    functions = [tool["function"] for tool in body.get("tools", [])]
    return any(
        function["name"] == "send_message" or "thinking" in function["parameters"]["properties"]
        for function in functions
    )


def forced(action: Action) -> Action:
    """The action of a model that must speak by send_message.

    `disobey` makes it answer in plain text all the same.
    """
    if "say" not in action or action.get("disobey") or action.get("calls"):
        return action
    arguments = {"thinking": action.get("thinking", "I answer."), "message": action["say"]}
    told = {"name": "send_message", "arguments": json.dumps(arguments)}
    return {**action, "say": None, "calls": [told]}


def problems_of_tools(body: dict[str, Any]) -> list[str]:
    """What is wrong with the tools of a request that forces a call."""
    if body.get("tool_choice") != "required":
        return []
    problems = [] if body.get("tools") else ["a forced call without tools"]
    if not is_legacy(body):
        return problems
    for tool in body.get("tools", []):
        function = tool["function"]
        required = function["parameters"]["required"]
        if required[:1] != ["thinking"] or next(iter(function["parameters"]["properties"])) != (
            "thinking"
        ):
            problems.append(f"{function['name']} does not ask for thoughts first")
        if ("request_heartbeat" in required) == (function["name"] in _ENDS_TURN):
            problems.append(f"{function['name']} is wrong about its heartbeat")
    return problems


def last_user_text(prompt: Prompt) -> str:
    """The text of the newest user message."""
    for message in reversed(prompt):
        if message["role"] == "user" and not is_heartbeat(message):
            content = message["content"]
            texts = [content] if isinstance(content, str) else texts_of(content) or [""]
            # What a person typed comes last: Letta Code puts its reminders ahead of it, and a
            # message of another agent says first who wrote it.
            typed = re.sub(r"(?s)^.*</system-reminder>\s*", "", texts[-1])
            return re.sub(r"^\[Incoming message from agent with ID [^\]]*\] ", "", typed)
    return ""


def texts_of(parts: list[dict[str, Any]]) -> list[str]:
    """The texts among the parts of a message."""
    return [part["text"] for part in parts if part["type"] == "text"]


def is_prompt(said: Any) -> bool:
    """Whether something is a list of messages."""
    return isinstance(said, list) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in said
    )


def problems_of(prompt: Prompt) -> list[str]:
    """What a strict provider would refuse: unpaired tool calls and empty messages."""
    problems: list[str] = []
    waiting: list[str] = []
    for message in prompt:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                problems.append("a return without a call")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            problems.append("a call without a return")
            waiting = []
        waiting = [tool_call["id"] for tool_call in message.get("tool_calls") or []]
        if not message.get("content") and not waiting:
            problems.append(f"an empty {message['role']} message")
    return problems + (["a call without a return"] if waiting else [])


def _call_id(style: str | None, name: str, place: int) -> str:
    match style:
        case "anew":
            return f"functions.{name}:{place}"
        case "one":
            return "chatcmpl-tool-0123456789"
    return f"call_{place}"


def _message(action: Action) -> dict[str, Any]:
    calls = [
        {
            "id": one.get("id") or _call_id(action.get("ids"), one["name"], n),
            "type": "function",
            "function": {"name": one["name"], "arguments": one["arguments"]},
        }
        for n, one in enumerate(action.get("calls", []))
    ]
    message: dict[str, Any] = {"role": "assistant", "content": action.get("say")}
    if action.get("reasoning"):
        message["reasoning_content"] = action["reasoning"]
    return message | ({"tool_calls": calls} if calls else {})


_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def _whole(action: Action) -> dict[str, Any]:
    finish = "tool_calls" if action.get("calls") else "stop"
    choice = {"index": 0, "message": _message(action), "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        "usage": action.get("usage", _USAGE),
    }


async def _broken_off(pieces: AsyncIterator[bytes], after: int) -> AsyncIterator[bytes]:
    """The first pieces, and then the end of the connection in the middle of the answer."""
    for _ in range(after):
        yield await anext(pieces)
    raise ConnectionAbortedError("scripted end of the connection")


async def _chunks(action: Action) -> AsyncIterator[bytes]:
    """The reply in pieces: a word of text at a time, arguments in halves or `cut` characters."""
    pieces: list[dict[str, Any]] = []
    if action.get("reasoning"):
        pieces.append({"reasoning_content": action["reasoning"]})
    pieces += [{"content": word} for word in re.findall(r"\S+\s*", action.get("say") or "")]
    for n, one in enumerate(_message(action).get("tool_calls", [])):
        arguments = one["function"]["arguments"]
        size = action.get("cut") or max(1, (len(arguments) + 1) // 2)
        first = {"name": one["function"]["name"], "arguments": ""}
        pieces.append({"tool_calls": [{**one, "index": n, "function": first}]})
        pieces += [
            {"tool_calls": [{"index": n, "function": {"arguments": part}}]}
            for part in (arguments[at : at + size] for at in range(0, len(arguments), size))
        ]
    finish = "tool_calls" if action.get("calls") else "stop"
    for piece in pieces:
        yield _frame({"delta": piece, "finish_reason": None})
        await asyncio.sleep(action.get("pause_s", 0))
    yield _frame({"delta": {}, "finish_reason": finish})
    yield _frame(None, usage=action.get("usage", _USAGE))
    yield b"data: [DONE]\n\n"


def _frame(choice: dict[str, Any] | None, **more: Any) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0} | choice] if choice is not None else [],
        **more,
    }
    return f"data: {json.dumps(body)}\n\n".encode()
