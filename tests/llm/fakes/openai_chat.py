"""OpenAI's chat completions, as strict as they are; others speak them in dialects."""

import json
import re
from typing import ClassVar

from starlette.requests import Request

from tests.llm.fakes.provider import Body, Broken, Fake, Refusal, Say, halves, must, only, sse

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_USER_NAME = re.compile(r"[^\s<|\\/>]{1,64}")
_KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class OpenAIChat(Fake):
    """Attributes: key: What it is asked with. id_pattern: How the ids of calls look."""

    name = "openai"
    model = "gpt-4o"
    key: ClassVar[str] = "sk-openai"
    id_pattern: ClassVar[re.Pattern[str]] = re.compile(r".{1,64}")
    takes_images: ClassVar[bool] = True

    fields: ClassVar[str] = (
        "model messages tools tool_choice parallel_tool_calls temperature top_p frequency_penalty "
        "presence_penalty max_tokens max_completion_tokens response_format stream stream_options "
        "reasoning_effort seed stop user n logprobs store metadata prompt_cache_key verbosity"
    )
    assistant_fields: ClassVar[str] = "role content name refusal tool_calls audio"

    def paths(self) -> list[str]:
        return ["/v1/chat/completions"]

    def check(self, request: Request, body: Body) -> None:
        self.check_key(request)
        only(body, self.fields, "Unrecognized request argument supplied")
        must(body["model"] == self.model, "The model does not exist")
        must("stream_options" not in body or body.get("stream"), "stream_options: only with stream")
        if not body.get("tools"):
            must("tools" not in body, "[] is too short - 'tools'")
            must("parallel_tool_calls" not in body, "parallel_tool_calls: only with tools")
            must("tool_choice" not in body, "tool_choice: only with tools")
        for tool in body.get("tools", []):
            self.check_tool(tool)
        self.check_messages(body["messages"])

    def check_key(self, request: Request) -> None:
        """Refuse a caller without the key."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Broken("Incorrect API key provided", status=401)

    def check_tool(self, tool: Body) -> None:
        """Refuse a tool that is not described as it must be."""
        only(tool, "type function", "tools")
        only(tool["function"], "name description parameters strict", "tools.function")
        must(NAME.fullmatch(tool["function"]["name"]), "tools.function.name: pattern")
        must(tool["function"]["parameters"].get("type") == "object", "schema must be an object")

    def check_messages(self, messages: list[Body]) -> None:
        """Refuse messages that are not in order."""
        must(messages, "[] is too short - 'messages'")
        waiting: list[str] = []
        for n, message in enumerate(messages):
            where = f"messages.[{n}]"
            if message["role"] == "tool":
                only(message, "role content tool_call_id", where)
                must(message["tool_call_id"] in waiting, f"{where}: no such tool_call_id")
                waiting.remove(message["tool_call_id"])
                self.check_content(message["content"], where, images=False)
                continue
            must(not waiting, f"{where}: tool_call_ids did not have response messages: {waiting}")
            match message["role"]:
                case "assistant":
                    waiting = self.check_assistant(message, where)
                case "system" | "developer":
                    only(message, "role content name", where)
                    self.check_content(message["content"], where, images=False)
                case "user":
                    only(message, "role content name", where)
                    must(_USER_NAME.fullmatch(message.get("name", "x")), f"{where}.name: pattern")
                    self.check_content(message["content"], where, images=self.takes_images)
                case role:
                    raise Broken(f"{where}: unknown role {role}")
        must(not waiting, "tool_call_ids did not have response messages")

    def check_assistant(self, message: Body, where: str) -> list[str]:
        """Refuse a reply that cannot have been one; answers the ids that wait for a return."""
        only(message, self.assistant_fields, where)
        calls = message.get("tool_calls")
        must(calls is None or calls, f"{where}.tool_calls: [] is too short")
        must(message.get("content") is not None or calls, f"{where}.content: null")
        if message.get("content") is not None:
            self.check_content(message["content"], where, images=False)
        for call in calls or []:
            only(call, "id type function", f"{where}.tool_calls")
            only(call["function"], "name arguments", f"{where}.tool_calls.function")
            must(NAME.fullmatch(call["function"]["name"]), f"{where}.tool_calls.name: pattern")
            must(isinstance(call["function"]["arguments"], str), "arguments: string expected")
            must(isinstance(json.loads(call["function"]["arguments"]), dict), "arguments: object")
            must(self.id_pattern.fullmatch(call["id"]), f"{where}.tool_calls.id: {call['id']}")
        ids = [call["id"] for call in calls or []]
        must(len(set(ids)) == len(ids), f"{where}.tool_calls: ids repeat")
        return ids

    def check_content(self, content: object, where: str, *, images: bool) -> None:
        """Refuse content that is neither text nor parts."""
        if isinstance(content, str):
            return
        must(isinstance(content, list) and content, f"{where}.content: string or parts expected")
        assert isinstance(content, list)
        for part in content:
            match part["type"]:
                case "text":
                    only(part, "type text", f"{where}.content")
                case "image_url" if images:
                    only(part["image_url"], "url detail", f"{where}.content")
                case other:
                    raise Broken(f"{where}.content: {other} is not supported here")

    def call_id(self, n: int) -> str:
        """The id of a call of the reply that is made now."""
        return f"call_{self.replies}_{n}"

    def said(self, say: Say) -> Body:
        """The message of a reply."""
        calls = [
            {
                "id": self.call_id(n),
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for n, call in enumerate(say.calls)
        ]
        message: Body = {"role": "assistant", "content": say.text or None}
        return message | self.thought(say.reasoning) | ({"tool_calls": calls} if calls else {})

    def thought(self, reasoning: str) -> Body:
        """How reasoning is told, if it is."""
        return {}

    def usage(self, say: Say) -> Body:
        """The tokens."""
        return {
            "prompt_tokens": say.prompt_tokens,
            "completion_tokens": say.completion_tokens,
            "total_tokens": say.prompt_tokens + say.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": say.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": say.reasoning_tokens},
        }

    def whole(self, say: Say, body: Body) -> Body:
        reason = "tool_calls" if say.calls else "stop"
        choice = {"index": 0, "message": self.said(say), "finish_reason": reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model}
        return head | {"choices": [choice], "usage": self.usage(say)}

    def stream(self, say: Say, body: Body) -> list[bytes]:
        deltas: list[Body] = [{"role": "assistant", "content": ""}]
        deltas += [self.thought(half) for half in halves(say.reasoning) if self.thought(half)]
        deltas += [{"content": half} for half in halves(say.text)]
        for n, call in enumerate(self.said(say).get("tool_calls", [])):
            function = call["function"]
            begun = call | {"index": n, "function": function | {"arguments": ""}}
            deltas.append({"tool_calls": [begun]})
            deltas += [
                {"tool_calls": [{"index": n, "function": {"arguments": half}}]}
                for half in halves(function["arguments"])
            ]
        chunks = [self._chunk([{"index": 0, "delta": d, "finish_reason": None}]) for d in deltas]
        reason = "tool_calls" if say.calls else "stop"
        chunks.append(self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}]))
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(self._chunk([]) | {"usage": self.usage(say)})
        return [*sse(*chunks), b"data: [DONE]\n\n"]

    def _chunk(self, choices: list[Body]) -> Body:
        kind = "chat.completion.chunk"
        head = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.model}
        return head | {"choices": choices}

    def error(self, refusal: Refusal) -> Body:
        kind, code = _KINDS.get(refusal.status, ("server_error", None))
        told = {"message": refusal.message, "type": kind, "param": None}
        return {"error": told | {"code": refusal.kind or code}}
