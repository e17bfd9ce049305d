"""Amazon Bedrock's Converse API, as strict as it is; its streams are binary events."""

import base64
import json
import re
import struct
import zlib

from starlette.requests import Request

from tests.llm.fakes.anthropic import signature_of
from tests.llm.fakes.provider import Body, Broken, Fake, Refusal, Say, halves, must, only

_FIELDS = (
    "messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields "
    "additionalModelResponseFieldPaths promptVariables performanceConfig requestMetadata"
)
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKEY/\d{8}/eu-west-1/bedrock/aws4_request, "
    r"SignedHeaders=[\w;-]*host[\w;-]*, Signature=[0-9a-f]{64}"
)
_KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class Bedrock(Fake):
    name = "bedrock"
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    media_type = "application/vnd.amazon.eventstream"

    def paths(self) -> list[str]:
        return [f"/model/{self.model}/converse", f"/model/{self.model}/converse-stream"]

    def streams(self, request: Request, body: Body) -> bool:
        return request.url.path.endswith("-stream")

    def check(self, request: Request, body: Body) -> None:
        if not _SIGNED.fullmatch(request.headers.get("authorization", "")):
            raise Broken("The security token included in the request is invalid.", status=403)
        only(body, _FIELDS, "request")
        only(body.get("inferenceConfig", {}), "maxTokens temperature topP stopSequences", "config")
        for block in body.get("system", []):
            only(block, "text cachePoint guardContent", "system")
            must("text" not in block or block["text"].strip(), "system: text is blank")
        for tool in body.get("toolConfig", {}).get("tools", []):
            if "cachePoint" in tool:
                continue
            spec = tool["toolSpec"]
            only(spec, "name description inputSchema strict", "toolSpec")
            must(_NAME.fullmatch(spec["name"]), "toolSpec.name: pattern [a-zA-Z0-9_-]+")
            must(spec["inputSchema"]["json"].get("type") == "object", "inputSchema.json.type")
        if _has_tools(body["messages"]):
            must(body.get("toolConfig"), "The toolConfig field must be defined")
        self._check_messages(body["messages"])

    def _check_messages(self, messages: list[Body]) -> None:
        must(messages, "The messages field is required")
        must(messages[0]["role"] == "user", "A conversation must start with a user message.")
        waiting: list[str] = []
        for n, message in enumerate(messages):
            must(message["role"] == ("assistant" if n % 2 else "user"), "roles must alternate")
            must(message["content"], f"The content field in the Message object at {n} is empty.")
            for block in message["content"]:
                _check_block(n, block)
            blocks = message["content"]
            results = [b["toolResult"]["toolUseId"] for b in blocks if "toolResult" in b]
            must(sorted(results) == sorted(waiting), "Expected toolResult blocks for the toolUse")
            waiting = [b["toolUse"]["toolUseId"] for b in blocks if "toolUse" in b]
            if any(one.startswith("tooluse_thought") for one in waiting):
                must("reasoningContent" in blocks[0], "Expected `thinking`, but found `tool_use`")
        must(not waiting, "Expected toolResult blocks")
        must(messages[-1]["role"] == "user", "does not support assistant message prefill")

    def _content(self, say: Say) -> list[Body]:
        blocks: list[Body] = []
        if say.reasoning:
            signature = signature_of(say.reasoning)
            thought = {"text": say.reasoning, "signature": signature}
            blocks.append({"reasoningContent": {"reasoningText": thought}})
        if say.text:
            blocks.append({"text": say.text})
        kind = "tooluse_thought" if say.reasoning else "tooluse"
        for n, call in enumerate(say.calls):
            made = {"toolUseId": f"{kind}_{self.replies}_{n}", "name": call.name}
            blocks.append({"toolUse": made | {"input": call.arguments}})
        return blocks

    def _usage(self, say: Say) -> Body:
        return {
            "inputTokens": say.prompt_tokens - say.cached_tokens,
            "outputTokens": say.completion_tokens,
            "totalTokens": say.prompt_tokens + say.completion_tokens,
            "cacheReadInputTokens": say.cached_tokens,
            "cacheWriteInputTokens": 0,
        }

    def whole(self, say: Say, body: Body) -> Body:
        return {
            "output": {"message": {"role": "assistant", "content": self._content(say)}},
            "stopReason": "tool_use" if say.calls else "end_turn",
            "usage": self._usage(say),
            "metrics": {"latencyMs": 5},
        }

    def stream(self, say: Say, body: Body) -> list[bytes]:
        events: list[tuple[str, Body]] = [("messageStart", {"role": "assistant"})]
        for n, block in enumerate(self._content(say)):
            if "toolUse" in block:
                start = {k: v for k, v in block["toolUse"].items() if k != "input"}
                events.append(
                    ("contentBlockStart", {"contentBlockIndex": n, "start": {"toolUse": start}})
                )
            events += [
                ("contentBlockDelta", {"contentBlockIndex": n, "delta": delta})
                for delta in _deltas(block)
            ]
            events.append(("contentBlockStop", {"contentBlockIndex": n}))
        events.append(("messageStop", {"stopReason": "tool_use" if say.calls else "end_turn"}))
        events.append(("metadata", {"usage": self._usage(say), "metrics": {"latencyMs": 5}}))
        return [framed(body, {":message-type": "event", ":event-type": k}) for k, body in events]

    def error(self, refusal: Refusal) -> Body:
        kind = refusal.kind or _KINDS.get(refusal.status, "InternalServerException")
        return {"message": refusal.message, "__type": kind}

    def error_event(self, refusal: Refusal) -> bytes:
        kind = refusal.kind or _KINDS.get(refusal.status, "InternalServerException")
        named = kind[0].lower() + kind[1:]
        headers = {":message-type": "exception", ":exception-type": named}
        return framed({"message": refusal.message}, headers)

    def garbled(self, piece: bytes) -> bytes:
        return piece[:-4] + b"\0\0\0\0"  # a checksum that is none


def _deltas(block: Body) -> list[Body]:
    if "text" in block:
        return [{"text": half} for half in halves(block["text"])]
    if "reasoningContent" in block:
        thought = block["reasoningContent"]["reasoningText"]
        said: list[Body] = [{"reasoningContent": {"text": one}} for one in halves(thought["text"])]
        return [*said, {"reasoningContent": {"signature": thought["signature"]}}]
    written = json.dumps(block["toolUse"]["input"], ensure_ascii=False)
    return [{"toolUse": {"input": half}} for half in halves(written)]


def _has_tools(messages: list[Body]) -> bool:
    return any("toolUse" in block for message in messages for block in message["content"])


def _check_block(n: int, block: Body) -> None:
    must(len(block) == 1, f"messages.{n}: a block is one thing")
    match next(iter(block)):
        case "text":
            must(block["text"].strip(), f"The text field in the ContentBlock at {n} is blank.")
        case "toolUse":
            made = block["toolUse"]
            only(made, "toolUseId name input", "toolUse")
            must(_NAME.fullmatch(made["name"]), "toolUse.name: pattern")
            must(_ID.fullmatch(made["toolUseId"]), "toolUseId: pattern [a-zA-Z0-9_-]+")
            must(isinstance(made["input"], dict), "toolUse.input: invalid")
        case "toolResult":
            returned = block["toolResult"]
            only(returned, "toolUseId content status", "toolResult")
            must(_ID.fullmatch(returned["toolUseId"]), "toolUseId: pattern [a-zA-Z0-9_-]+")
            for part in returned["content"]:
                must("text" not in part or part["text"].strip(), "toolResult: text is blank")
        case "reasoningContent":
            thought = block["reasoningContent"].get("reasoningText")
            if thought is not None:
                signed = thought.get("signature") == signature_of(thought["text"])
                must(signed, "Invalid `signature` in `thinking` block")
        case "image":
            base64.b64decode(block["image"]["source"]["bytes"], validate=True)
        case "cachePoint":
            must(block["cachePoint"] == {"type": "default"}, "cachePoint.type")
        case other:
            raise Broken(f"messages.{n}: unknown block {other}")


def framed(body: Body, headers: dict[str, str]) -> bytes:
    """An event as AWS frames it: lengths, checksum, headers, payload, checksum."""
    packed = b""
    for name, value in (headers | {":content-type": "application/json"}).items():
        text = value.encode()
        packed += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text
    payload = json.dumps(body, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return whole + struct.pack(">I", zlib.crc32(whole))
