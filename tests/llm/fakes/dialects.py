"""Providers that speak OpenAI's chat completions, each in its own way."""

import itertools
import re
from typing import Any

from starlette.requests import Request

from tests.llm.fakes.openai_chat import OpenAIChat
from tests.llm.fakes.provider import Body, Broken, Say, halves, must, sse


class Groq(OpenAIChat):
    """Refuses what it does not know in messages; thinks in a field of its own."""

    name = "groq"
    model = "qwen/qwen3-32b"
    key = "gsk-groq"
    takes_images = False
    fields = (
        "model messages tools tool_choice parallel_tool_calls temperature top_p "
        "max_tokens max_completion_tokens response_format stream stream_options "
        "reasoning_effort reasoning_format seed stop user n service_tier"
    )
    assistant_fields = "role content name tool_calls reasoning"

    def paths(self) -> list[str]:
        return ["/openai/v1/chat/completions"]

    def thought(self, reasoning: str) -> Body:
        return {"reasoning": reasoning} if reasoning else {}


class DeepSeek(OpenAIChat):
    """Wants the reasoning of a tool turn back within it."""

    name = "deepseek"
    model = "deepseek-reasoner"
    key = "sk-deep"
    takes_images = False
    fields = (
        "model messages tools tool_choice temperature top_p frequency_penalty presence_penalty "
        "max_tokens response_format stream stream_options stop logprobs thinking "
        "parallel_tool_calls"
    )
    assistant_fields = "role content name tool_calls reasoning_content prefix"

    def call_id(self, n: int) -> str:
        return f"call_00_thought_{self.replies}_{n}"

    def thought(self, reasoning: str) -> Body:
        return {"reasoning_content": reasoning} if reasoning else {}

    def usage(self, say: Say) -> Body:
        hit = {"prompt_cache_hit_tokens": say.cached_tokens}
        missed = {"prompt_cache_miss_tokens": say.prompt_tokens - say.cached_tokens}
        return super().usage(say) | hit | missed

    def check_assistant(self, message: Body, where: str) -> list[str]:
        ids = super().check_assistant(message, where)
        if self.says[0].reasoning and any("thought" in one for one in ids):
            must(
                message.get("reasoning_content"),
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
            )
        return ids


class VLLM(OpenAIChat):
    """Renders a template of Mistral's kind: one system message, then roles that alternate."""

    name = "vllm"
    model = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
    key = "x"
    assistant_fields = "role content name tool_calls reasoning reasoning_content"

    def thought(self, reasoning: str) -> Body:
        return {"reasoning": reasoning, "reasoning_content": reasoning} if reasoning else {}

    def check_messages(self, messages: list[Body]) -> None:
        super().check_messages(messages)
        spoken = [
            message["role"]
            for message in messages[messages[0]["role"] == "system" :]
            if message["role"] != "tool" and not message.get("tool_calls")
        ]
        expected = ["user", "assistant"] * len(spoken)
        if spoken != expected[: len(spoken)]:
            raise Broken("Conversation roles must alternate user/assistant/user/assistant/...")

    def error(self, refusal: Any) -> Body:
        told = {"object": "error", "message": refusal.message, "type": "BadRequestError"}
        return told | {"param": None, "code": refusal.status}


class Mistral(OpenAIChat):
    """Takes ids of nine letters and digits only, and refuses every field that it does not know."""

    name = "mistral"
    model = "magistral-medium-latest"
    key = "sk-mistral"
    id_pattern = re.compile(r"[a-zA-Z0-9]{9}")
    fields = (
        "model messages tools tool_choice parallel_tool_calls temperature top_p max_tokens "
        "frequency_penalty presence_penalty response_format stream stop random_seed n "
        "prompt_mode safe_prompt"
    )
    assistant_fields = "role content tool_calls prefix"

    def call_id(self, n: int) -> str:
        return f"{self.replies:08d}{n}"

    def check(self, request: Request, body: Body) -> None:
        must(body.get("tool_choice") in (None, "auto", "any", "none", "required"), "tool_choice")
        super().check(request, body)

    def check_messages(self, messages: list[Body]) -> None:
        must(messages[-1]["role"] in ("user", "tool"), "Expected last role User or Tool")
        for before, after in itertools.pairwise(messages):
            must(
                (before["role"], after["role"]) != ("tool", "user"),
                "Unexpected role 'user' after role 'tool'",
            )
        for message in messages:
            must("name" not in message or message["role"] == "tool", "name: extra_forbidden")
            if message["role"] == "assistant":
                must(message.get("content") or message.get("tool_calls"), "Assistant message empty")
        super().check_messages(messages)

    def check_content(self, content: object, where: str, *, images: bool) -> None:
        if isinstance(content, list) and content[0].get("type") == "thinking":
            content = content[1:] or "x"
        super().check_content(content, where, images=images)

    def said(self, say: Say) -> Body:
        message = super().said(say)
        if say.reasoning:
            message["content"] = _thinking(say.reasoning, say.text)
        return message

    def stream(self, say: Say, body: Body) -> list[bytes]:
        usage = self.usage(say)
        events = super().stream(Say(text=say.text, calls=say.calls), body)[:-1]
        thoughts = [
            self._chunk(
                [{"index": 0, "delta": {"content": _thinking(half, "")}, "finish_reason": None}]
            )
            for half in halves(say.reasoning)
        ]
        last = self._chunk([]) | {"usage": usage}
        return [events[0], *sse(*thoughts), *events[1:], *sse(last), b"data: [DONE]\n\n"]

    def error(self, refusal: Any) -> Body:
        told = {"object": "error", "message": refusal.message, "type": "invalid_request_error"}
        return told | {"param": None, "code": refusal.kind or "3051"}


def _thinking(reasoning: str, text: str) -> list[Body]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}
    return [thought, {"type": "text", "text": text}] if text else [thought]


class Azure(OpenAIChat):
    """OpenAI's models by deployment: another address, another header for the key."""

    name = "azure"
    model = "my-deployment"
    key = "azure-key"

    def paths(self) -> list[str]:
        return [f"/openai/deployments/{self.model}/chat/completions"]

    def check_key(self, request: Request) -> None:
        if request.headers.get("api-key") != self.key:
            raise Broken("Access denied due to invalid subscription key", status=401)
        must("authorization" not in request.headers, "Access denied")
        must(request.query_params.get("api-version"), "Missing required query parameter")

    def stream(self, say: Say, body: Body) -> list[bytes]:
        filtered = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        return [*sse(self._chunk([]) | filtered), *super().stream(say, body)]
