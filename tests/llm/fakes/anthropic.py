"""Anthropic's Messages API, as strict as it is."""

import hashlib
import json
import re
from typing import Any

from starlette.requests import Request

from tests.llm.fakes.provider import Body, Broken, Fake, Refusal, Say, halves, must, only, sse

_FIELDS = (
    "model messages system max_tokens metadata stop_sequences stream temperature thinking "
    "tool_choice tools top_k top_p service_tier output_format output_config cache_control"
)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
MAX_BREAKPOINTS = 4


def signature_of(text: str) -> str:
    """What a thought is signed with: it must come back with this very text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Anthropic(Fake):
    name = "anthropic"
    model = "claude-sonnet-4-5"

    def paths(self) -> list[str]:
        return ["/v1/messages"]

    def check(self, request: Request, body: Body) -> None:
        if request.headers.get("x-api-key") != "sk-ant":
            raise Broken("invalid x-api-key", status=401)
        must(request.headers.get("anthropic-version") == "2023-06-01", "anthropic-version")
        only(body, _FIELDS, "request")
        must(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
        for tool in body.get("tools", []):
            only(tool, "name description input_schema type cache_control", "tools")
            must(_NAME.fullmatch(tool["name"]), "tools.0.name: String should match pattern")
            must(
                tool["input_schema"].get("type") == "object", "tools.0.input_schema.type: required"
            )
        for block in body.get("system", []):
            must(block["text"].strip(), "system: text content blocks must be non-empty")
        if body.get("thinking", {}).get("type") == "enabled":
            budget = body["thinking"]["budget_tokens"]
            must(budget >= 1024, "thinking.enabled.budget_tokens: should be at least 1024")
            must(budget < body["max_tokens"], "`max_tokens` must be greater than `budget_tokens`")
            must(body.get("temperature", 1) == 1, "`temperature` may only be set to 1")
            must("top_p" not in body, "`top_p` must be unset when thinking is enabled")
            forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
            must(not forced, "Thinking may not be enabled when tool_choice forces tool use.")
        marks = json.dumps(body).count('"cache_control": {')
        must(marks <= MAX_BREAKPOINTS, f"A maximum of 4 blocks may have cache_control, got {marks}")
        self._check_messages(body)

    def _check_messages(self, body: Body) -> None:
        messages = body["messages"]
        must(messages, "messages: at least one message is required")
        must(messages[0]["role"] == "user", "messages: first message must use the user role")
        waiting: list[str] = []
        for n, message in enumerate(messages):
            must(message["role"] == ("assistant" if n % 2 else "user"), "roles must alternate")
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            must(blocks, f"messages.{n}: all messages must have non-empty content")
            for block in blocks:
                self._check_block(n, message["role"], block)
            results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
            must(
                sorted(results) == sorted(waiting),
                f"messages.{n}: tool_use ids without tool_result",
            )
            must(
                all(b["type"] == "tool_result" for b in blocks[: len(results)]),
                "tool_result blocks must come first",
            )
            waiting = [b["id"] for b in blocks if b["type"] == "tool_use"]
            must(len(set(waiting)) == len(waiting), "tool_use ids must be unique")
            if any(one.startswith("toolu_thought") for one in waiting):
                must(
                    blocks[0]["type"] in ("thinking", "redacted_thinking"),
                    f"messages.{n}.content.0.type: Expected `thinking` or `redacted_thinking`",
                )
        must(not waiting, "tool_use ids were found without tool_result blocks")

    def _check_block(self, n: int, role: str, block: Body) -> None:
        match block["type"]:
            case "text":
                only(block, "type text cache_control citations", f"messages.{n}")
                must(block["text"].strip(), "text content blocks must contain non-whitespace text")
            case "tool_use":
                only(block, "type id name input cache_control", f"messages.{n}")
                must(role == "assistant", "tool_use in a user's message")
                must(_NAME.fullmatch(block["name"]), f"messages.{n}.tool_use.name: pattern")
                must(_ID.fullmatch(block["id"]), f"messages.{n}.tool_use.id: pattern")
                must(isinstance(block["input"], dict), "tool_use.input: valid dictionary")
            case "tool_result":
                only(block, "type tool_use_id content is_error cache_control", f"messages.{n}")
                must(role == "user", "tool_result in an assistant's message")
            case "thinking":
                only(block, "type thinking signature", f"messages.{n}")
                must(
                    block["signature"] == signature_of(block["thinking"]),
                    "Invalid `signature` in `thinking` block",
                )
            case "redacted_thinking":
                only(block, "type data", f"messages.{n}")
            case "image":
                source = block["source"]
                must(source["type"] in ("base64", "url"), "image.source.type")
            case other:
                raise Broken(f"Input tag {other!r} found using 'type' does not match")

    def _content(self, say: Say) -> list[Body]:
        blocks: list[Body] = []
        if say.reasoning:
            signature = signature_of(say.reasoning)
            blocks.append({"type": "thinking", "thinking": say.reasoning, "signature": signature})
            blocks.append({"type": "redacted_thinking", "data": "c2VhbGVk"})
        if say.text:
            blocks.append({"type": "text", "text": say.text})
        kind = "toolu_thought" if say.reasoning else "toolu"
        blocks += [
            {
                "type": "tool_use",
                "id": f"{kind}_{self.replies}_{n}",
                "name": call.name,
                "input": call.arguments,
            }
            for n, call in enumerate(say.calls)
        ]
        return blocks

    def _usage(self, say: Say) -> Body:
        return {
            "input_tokens": say.prompt_tokens - say.cached_tokens,
            "cache_read_input_tokens": say.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": say.completion_tokens,
        }

    def _message(self, say: Say, content: list[Body], reason: str | None) -> Body:
        return {
            "id": f"msg_{self.replies}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": self._usage(say),
        }

    def whole(self, say: Say, body: Body) -> Body:
        return self._message(say, self._content(say), "tool_use" if say.calls else "end_turn")

    def stream(self, say: Say, body: Body) -> list[bytes]:
        events: list[Body] = [{"type": "message_start", "message": self._message(say, [], None)}]
        events.append({"type": "ping"})
        for n, block in enumerate(self._content(say)):
            begun, deltas = _in_deltas(block)
            events.append({"type": "content_block_start", "index": n, "content_block": begun})
            events += [{"type": "content_block_delta", "index": n, "delta": one} for one in deltas]
            events.append({"type": "content_block_stop", "index": n})
        reason = "tool_use" if say.calls else "end_turn"
        events.append(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": self._usage(say),
            }
        )
        return sse(*events, {"type": "message_stop"}, named=True)

    def error(self, refusal: Refusal) -> Body:
        kind = refusal.kind or _KINDS.get(refusal.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": refusal.message}}

    def error_event(self, refusal: Refusal) -> bytes:
        return sse(self.error(refusal), named=True)[0]


def _in_deltas(block: Body) -> tuple[Body, list[Body]]:
    """How a block begins, and the pieces that follow."""
    match block["type"]:
        case "text":
            pieces: list[Any] = [
                {"type": "text_delta", "text": part} for part in halves(block["text"])
            ]
            return block | {"text": ""}, pieces
        case "thinking":
            pieces = [
                {"type": "thinking_delta", "thinking": part} for part in halves(block["thinking"])
            ]
            pieces.append({"type": "signature_delta", "signature": block["signature"]})
            return block | {"thinking": "", "signature": ""}, pieces
        case "tool_use":
            text = json.dumps(block["input"], ensure_ascii=False)
            pieces = [{"type": "input_json_delta", "partial_json": p} for p in halves(text)]
            return block | {"input": {}}, pieces
        case _:
            return block, []
