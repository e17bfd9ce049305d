"""OpenAI's Responses API, as strict as it is, with nothing stored."""

import hashlib
import json
from dataclasses import dataclass

from starlette.requests import Request

from tests.llm.fakes.openai_chat import NAME
from tests.llm.fakes.provider import Body, Broken, Fake, Refusal, Say, halves, must, only, sse

_FIELDS = (
    "model input instructions tools tool_choice parallel_tool_calls temperature top_p "
    "max_output_tokens store include stream text reasoning metadata user truncation "
    "previous_response_id service_tier prompt_cache_key"
)
_NOT_OURS = (
    "The encrypted content gAAA... could not be verified. "
    "Reason: Encrypted content could not be decrypted or parsed."
)
_SEALED = "reasoning.encrypted_content"


@dataclass
class OpenAIResponses(Fake):
    """Attributes: seal: What thoughts are encrypted with."""

    seal: bytes = b""

    name = "responses"
    model = "gpt-5-codex"

    def paths(self) -> list[str]:
        return ["/v1/responses"]

    def check(self, request: Request, body: Body) -> None:
        if request.headers.get("authorization") != "Bearer sk-openai":
            raise Broken("Incorrect API key provided", status=401)
        only(body, _FIELDS, "Unknown parameter")
        must(body.get("store") is False, "what users say would be kept")
        must(_SEALED in body.get("include", []), "reasoning would be lost")
        must("temperature" not in body, "Unsupported parameter: 'temperature'")
        for tool in body.get("tools", []):
            only(tool, "type name description parameters strict", "tools")
            must(NAME.fullmatch(tool["name"]), "tools.name: pattern")
            must(tool["strict"] is False or "additionalProperties" in tool["parameters"], "strict")
        self._check_input(body["input"])

    def _check_input(self, items: list[Body]) -> None:
        must(items, "input: empty")
        open_calls: list[str] = []
        for n, item in enumerate(items):
            where = f"input[{n}]"
            match item["type"]:
                case "message":
                    only(item, "type role content", where)
                    must(not open_calls, f"No tool output found for function call {open_calls}")
                    for part in item["content"]:
                        _check_part(part, item["role"], where)
                case "function_call":
                    only(item, "type call_id name arguments", where)
                    must(NAME.fullmatch(item["name"]), f"{where}.name: pattern")
                    must(isinstance(json.loads(item["arguments"]), dict), f"{where}.arguments")
                    open_calls.append(item["call_id"])
                    if item["call_id"].startswith("call_thought"):
                        before = items[n - 1]["type"]
                        must(
                            before in ("reasoning", "function_call", "message"),
                            f"{where}: was provided without its required 'reasoning' item",
                        )
                        must(
                            any(i["type"] == "reasoning" for i in items[:n]), f"{where}: reasoning"
                        )
                case "function_call_output":
                    only(item, "type call_id output", where)
                    must(item["call_id"] in open_calls, f"{where}: No tool call found")
                    open_calls.remove(item["call_id"])
                    if not isinstance(item["output"], str):
                        for part in item["output"]:
                            _check_part(part, "user", where)
                case "reasoning":
                    only(item, "type summary encrypted_content", where)
                    must("summary" in item, f"{where}.summary: required")
                    thought = "".join(part["text"] for part in item["summary"])
                    must(item["encrypted_content"] == self._sealed(thought), _NOT_OURS)
                    follows = items[n + 1]["type"] if n + 1 < len(items) else ""
                    must(
                        follows in ("message", "function_call"),
                        f"{where}: provided without its required following item",
                    )
                case other:
                    raise Broken(f"{where}: unknown item {other}")
        must(not open_calls, "No tool output found for function call")

    def _sealed(self, thought: str) -> str:
        return "gAAAAA" + hashlib.sha256(self.seal + thought.encode()).hexdigest()

    def _output(self, say: Say) -> list[Body]:
        items: list[Body] = []
        if say.reasoning:
            summary = [{"type": "summary_text", "text": say.reasoning}]
            thought = {"type": "reasoning", "id": f"rs_{self.replies}", "summary": summary}
            items.append(thought | {"encrypted_content": self._sealed(say.reasoning)})
        if say.text:
            part = {"type": "output_text", "text": say.text, "annotations": []}
            head = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
            items.append(head | {"content": [part]})
        kind = "call_thought" if say.reasoning else "call"
        items += [
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": f"{kind}_{self.replies}_{n}",
                "name": call.name,
                "arguments": json.dumps(call.arguments, ensure_ascii=False),
                "status": "completed",
            }
            for n, call in enumerate(say.calls)
        ]
        return items

    def _response(self, say: Say, output: list[Body], status: str) -> Body:
        usage = {
            "input_tokens": say.prompt_tokens,
            "input_tokens_details": {"cached_tokens": say.cached_tokens},
            "output_tokens": say.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": say.reasoning_tokens},
            "total_tokens": say.prompt_tokens + say.completion_tokens,
        }
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": output,
            "usage": usage if status == "completed" else None,
        }

    def whole(self, say: Say, body: Body) -> Body:
        return self._response(say, self._output(say), "completed")

    def stream(self, say: Say, body: Body) -> list[bytes]:
        output = self._output(say)
        events: list[Body] = [
            {"type": "response.created", "response": self._response(say, [], "in_progress")}
        ]
        for n, item in enumerate(output):
            events.append(
                {"type": "response.output_item.added", "output_index": n, "item": _begun(item)}
            )
            events += [one | {"output_index": n, "item_id": item["id"]} for one in _pieces(item)]
            events.append({"type": "response.output_item.done", "output_index": n, "item": item})
        whole = self._response(say, output, "completed")
        events.append({"type": "response.completed", "response": whole})
        numbered = [one | {"sequence_number": n} for n, one in enumerate(events)]
        return sse(*numbered, named=True)

    def error(self, refusal: Refusal) -> Body:
        kind = "invalid_request_error" if refusal.status < 500 else "server_error"
        code = refusal.kind or ("rate_limit_exceeded" if refusal.status == 429 else None)
        told = {"message": refusal.message, "type": kind, "param": None, "code": code}
        return {"error": told}

    def error_event(self, refusal: Refusal) -> bytes:
        code = refusal.kind or ("rate_limit_exceeded" if refusal.status == 429 else "server_error")
        failed = self._response(Say(), [], "failed")
        failed["error"] = {"code": code, "message": refusal.message}
        return sse({"type": "response.failed", "response": failed}, named=True)[0]


def _check_part(part: Body, role: str, where: str) -> None:
    match part["type"]:
        case "output_text":
            must(role == "assistant", f"{where}: Supported values are 'input_text'")
            only(part, "type text annotations", where)
        case "input_text":
            must(role != "assistant", f"{where}: Supported values are 'output_text'")
            only(part, "type text", where)
        case "input_image":
            only(part, "type image_url detail", where)
            must(part["image_url"].startswith(("data:image/", "https://")), f"{where}.image_url")
        case other:
            raise Broken(f"{where}: unknown part {other}")


def _begun(item: Body) -> Body:
    match item["type"]:
        case "function_call":
            return item | {"arguments": "", "status": "in_progress"}
        case "message":
            return item | {"content": [], "status": "in_progress"}
        case _:
            return item | {"summary": [], "encrypted_content": "gAAAAAbegun"}


def _pieces(item: Body) -> list[Body]:
    match item["type"]:
        case "function_call":
            kind = "response.function_call_arguments"
            deltas = [{"type": f"{kind}.delta", "delta": d} for d in halves(item["arguments"])]
            return [*deltas, {"type": f"{kind}.done", "arguments": item["arguments"]}]
        case "message":
            text = item["content"][0]["text"]
            deltas = [{"type": "response.output_text.delta", "delta": d} for d in halves(text)]
            placed: list[Body] = [one | {"content_index": 0} for one in deltas]
            return [*placed, {"type": "response.output_text.done", "text": text}]
        case _:
            kind = "response.reasoning_summary"
            text = item["summary"][0]["text"]
            deltas = [{"type": f"{kind}_text.delta", "delta": d} for d in halves(text)]
            placed = [one | {"summary_index": 0} for one in deltas]
            return [{"type": f"{kind}_part.added", "summary_index": 0}, *placed]
