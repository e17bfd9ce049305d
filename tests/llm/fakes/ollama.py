"""Ollama's own chat API (`/api/chat`), as strict as it is."""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.llm.fakes.provider import Body, Fake, Refusal, Say, halves, must, only

_OPTIONS = (
    "num_ctx num_predict temperature top_p top_k seed stop repeat_penalty repeat_last_n "
    "frequency_penalty presence_penalty min_p tfs_z num_gpu num_thread mirostat"
)


class Ollama(Fake):
    """Attributes: shown: How often `/api/show` was asked, which is slow here."""

    name = "ollama"
    model = "qwen3:8b"
    media_type = "application/x-ndjson"
    shown: int = 0

    def paths(self) -> list[str]:
        return ["/api/chat"]

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("/ollama/api/show", self._show, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        self.shown += 1
        await asyncio.sleep(5)
        return JSONResponse({"template": "{{ .Tools }}", "model_info": {}})

    def streams(self, request: Request, body: Body) -> bool:
        return body.get("stream", True) is not False

    def check(self, request: Request, body: Body) -> None:
        only(body, "model messages tools format options stream keep_alive think", "request")
        must(":" in body["model"], "model not found, try pulling it first")
        options = body.get("options", {})
        only(options, _OPTIONS, "options")
        must(isinstance(options.get("num_ctx"), int), "num_ctx: the prompt would be cut in silence")
        called: list[str] = []
        for message in body["messages"]:
            only(
                message,
                "role content thinking images tool_calls tool_name tool_call_id",
                "messages",
            )
            must(message["role"] in ("system", "user", "assistant", "tool"), "invalid role")
            must(isinstance(message.get("content", ""), str), "content: string expected")
            for image in message.get("images") or []:
                must(not image.startswith(("http", "data:")), "illegal base64 data at input byte 4")
            for call in message.get("tool_calls") or []:
                must(isinstance(call["function"]["arguments"], dict), "arguments: object expected")
                called.append(call["function"]["name"])
            if message["role"] == "tool":
                must(called, "a tool message without a call")
                must(called.pop(0) == message.get("tool_name"), "whose return is it")
        must(not called, "calls without returns")
        for tool in body.get("tools", []):
            must(tool["type"] == "function", "tools")
            must(tool["function"]["parameters"].get("type") == "object", "tools")

    def _line(self, message: Body) -> Body:
        at = "2026-01-01T00:00:00Z"
        said = {"role": "assistant", "content": ""} | message
        return {"model": self.model, "created_at": at, "message": said, "done": False}

    def _calls(self, say: Say) -> Body:
        calls = [{"function": {"name": c.name, "arguments": c.arguments}} for c in say.calls]
        return {"tool_calls": calls} if calls else {}

    def _end(self, say: Say) -> Body:
        return {
            "done": True,
            "done_reason": "stop",
            "total_duration": 5,
            "prompt_eval_count": say.prompt_tokens,
            "eval_count": say.completion_tokens,
        }

    def whole(self, say: Say, body: Body) -> Body:
        thought = {"thinking": say.reasoning} if say.reasoning else {}
        return self._line({"content": say.text} | thought | self._calls(say)) | self._end(say)

    def stream(self, say: Say, body: Body) -> list[bytes]:
        lines = [self._line({"thinking": part}) for part in halves(say.reasoning)]
        lines += [self._line({"content": part}) for part in halves(say.text)]
        if say.calls:
            lines.append(self._line(self._calls(say)))
        lines.append(self._line({}) | self._end(say))
        return [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]

    def error(self, refusal: Refusal) -> Body:
        return {"error": refusal.message}

    def error_event(self, refusal: Refusal) -> bytes:
        return json.dumps(self.error(refusal)).encode() + b"\n"
