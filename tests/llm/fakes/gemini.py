"""Google's Gemini API (`generateContent`), as strict as it is."""

import base64
import re

from starlette.requests import Request

from tests.llm.fakes.provider import Body, Broken, Fake, Refusal, Say, halves, must, only, sse

_FIELDS = (
    "contents system_instruction systemInstruction tools toolConfig tool_config generationConfig "
    "generation_config safetySettings safety_settings cachedContent labels"
)
_CONFIG = (
    "temperature topP top_p topK top_k candidateCount maxOutputTokens max_output_tokens "
    "stopSequences stop_sequences presencePenalty presence_penalty frequencyPenalty "
    "frequency_penalty responseMimeType response_mime_type responseSchema response_schema "
    "responseJsonSchema thinkingConfig seed"
)
_SCHEMA = (
    "type format title description nullable enum maxItems minItems properties required "
    "minProperties maxProperties minLength maxLength pattern example anyOf propertyOrdering "
    "default items minimum maximum"
)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# What Google's documentation gives for calls that another model made.
_NO_SIGNATURE = base64.b64encode(b"skip_thought_signature_validator").decode()


def _signature(reply: int) -> str:
    return base64.b64encode(f"thought of reply {reply}".encode()).decode()


class Gemini(Fake):
    name = "gemini"
    model = "gemini-3-pro-preview"

    def paths(self) -> list[str]:
        return [
            f"/v1beta/models/{self.model}:generateContent",
            f"/v1beta/models/{self.model}:streamGenerateContent",
        ]

    def streams(self, request: Request, body: Body) -> bool:
        return request.url.path.endswith(":streamGenerateContent")

    def check(self, request: Request, body: Body) -> None:
        if request.headers.get("x-goog-api-key") != "sk-gem":
            raise Broken("API key not valid. Please pass a valid API key.", status=400)
        must("key" not in request.query_params, "a key in an address is in every log")
        if self.streams(request, body):
            must(request.query_params.get("alt") == "sse", "a list, not events, would be sent")
        only(body, _FIELDS, "Invalid JSON payload received")
        only(body.get("generationConfig", {}), _CONFIG, "Invalid JSON payload at generation_config")
        for tool in body.get("tools", []):
            for one in tool.get("function_declarations") or tool["functionDeclarations"]:
                only(one, "name description parameters parametersJsonSchema response", "tools")
                must(_NAME.fullmatch(one["name"]), "function_declarations.name: Invalid name")
                if "parameters" in one:
                    _check_schema(one["parameters"])
        system = body.get("system_instruction") or body.get("systemInstruction")
        if system is not None:
            must(all(part.get("text") for part in system["parts"]), "system_instruction is empty")
        self._check_contents(body["contents"])

    def _check_contents(self, contents: list[Body]) -> None:
        must(contents, "contents is not specified")
        must(contents[0]["role"] == "user", "Please ensure that the first turn is a user turn")
        called: list[Body] = []
        before = "model"
        for n, content in enumerate(contents):
            only(content, "role parts", f"contents[{n}]")
            must(content["role"] in ("user", "model"), "Please use a valid role: user, model.")
            must(content["role"] != before, "roles must alternate")
            must(content["parts"], f"contents[{n}].parts must not be empty")
            for part in content["parts"]:
                _check_part(n, part)
            answered = [_of(p, "function_response") for p in content["parts"]]
            returns = [one["name"] for one in answered if one]
            before = "" if returns else content["role"]  # a user may speak behind returns
            must(
                sorted(returns) == sorted(one["name"] for one in called),
                "function response parts must equal the function call parts of the call turn",
            )
            parts = content["parts"]
            called = [one for part in parts if (one := _of(part, "function_call"))]
            if called:
                first = next(part for part in parts if _of(part, "function_call"))
                self._check_signature(n, first)
        must(contents[-1]["role"] == "user", "single turn requests end with a user role")

    def _check_signature(self, n: int, part: Body) -> None:
        """The first call of a reply that was thought about is signed, by us or as not ours."""
        signed = part.get("thoughtSignature") or part.get("thought_signature")
        must(signed, f"Function call is missing a thought_signature in functionCall parts, {n}")
        given = (_of(part, "function_call") or {}).get("id", "")
        if given.startswith("fc_"):
            must(signed == _signature(int(given.split("_")[1])), "Corrupted thought signature.")
        else:
            must(signed == _NO_SIGNATURE, "Corrupted thought signature.")

    def _parts(self, say: Say) -> list[Body]:
        parts: list[Body] = []
        if say.reasoning:
            parts += [{"text": half, "thought": True} for half in halves(say.reasoning)]
        parts += [{"text": half} for half in halves(say.text)]
        for n, call in enumerate(say.calls):
            made = {"name": call.name, "args": call.arguments, "id": f"fc_{self.replies}_{n}"}
            part: Body = {"functionCall": made}
            if n == 0:
                part["thoughtSignature"] = _signature(self.replies)
            parts.append(part)
        return parts

    def _answer_of(self, say: Say, parts: list[Body], *, is_last: bool) -> Body:
        candidate: Body = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if is_last:
            candidate["finishReason"] = "STOP"
        usage = {
            "promptTokenCount": say.prompt_tokens,
            "candidatesTokenCount": say.completion_tokens - say.reasoning_tokens,
            "totalTokenCount": say.prompt_tokens + say.completion_tokens,
            "thoughtsTokenCount": say.reasoning_tokens,
        }
        if say.cached_tokens:
            usage["cachedContentTokenCount"] = say.cached_tokens
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": self.model,
            "responseId": f"r{self.replies}",
        }

    def whole(self, say: Say, body: Body) -> Body:
        return self._answer_of(say, self._parts(say), is_last=True)

    def stream(self, say: Say, body: Body) -> list[bytes]:
        parts = self._parts(say)
        pieces = [self._answer_of(say, [part], is_last=False) for part in parts]
        return sse(*pieces, self._answer_of(say, [{"text": ""}], is_last=True))

    def error(self, refusal: Refusal) -> Body:
        status = refusal.kind or _STATES.get(refusal.status, "UNKNOWN")
        return {"error": {"code": refusal.status, "message": refusal.message, "status": status}}


def _of(part: Body, name: str) -> Body | None:
    """A field in either of the spellings that protobuf takes."""
    head, tail = name.split("_")
    found: Body | None = part.get(name) or part.get(head + tail.capitalize())
    return found


def _check_part(n: int, part: Body) -> None:
    only(
        part,
        "text thought thoughtSignature thought_signature inlineData inline_data functionCall "
        "function_call functionResponse function_response fileData file_data",
        f"contents[{n}].parts",
    )
    if "text" in part:
        must(part["text"], f"contents[{n}].parts: required oneof field 'data' must be set")
    if (call := _of(part, "function_call")) is not None:
        only(call, "name args id", "function_call")
        must(_NAME.fullmatch(call["name"]), "function_call.name: Invalid name")
        must(isinstance(call["args"], dict), "function_call.args: Struct expected")
    if (returned := _of(part, "function_response")) is not None:
        only(returned, "name response id parts", "function_response")
        must(isinstance(returned["response"], dict), "function_response.response: Struct expected")


def _check_schema(schema: Body) -> None:
    only(schema, _SCHEMA, "function_declarations.parameters")
    if "enum" in schema:
        must(all(isinstance(one, str) and one for one in schema["enum"]), "enum: cannot be empty")
    if str(schema.get("type", "")).lower() == "array":
        must("items" in schema, "items: missing field")
    for each in schema.get("properties", {}).values():
        _check_schema(each)
    for each in schema.get("anyOf", []):
        _check_schema(each)
    if "items" in schema:
        _check_schema(schema["items"])
