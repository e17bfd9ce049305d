"""A provider on loopback, and what O makes of it: one bench for each wire."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from o.domain.agents import Agent
from o.domain.extras import extras_to_store
from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.domain.messages import (
    GivenId,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RedactedPart,
    Role,
    TextPart,
    ToolReturn,
)
from o.errors import ModelError
from o.llm.models import Models
from o.llm.providers.providers import Provider, ProviderSet
from o.memory.context import Prompt
from o.tools.registry import BUILT_IN_TOOLS
from tests.llm.fakes.anthropic import Anthropic
from tests.llm.fakes.bedrock import Bedrock
from tests.llm.fakes.dialects import VLLM, Azure, DeepSeek, Groq, Mistral
from tests.llm.fakes.gemini import Gemini
from tests.llm.fakes.ollama import Ollama
from tests.llm.fakes.openai_chat import OpenAIChat
from tests.llm.fakes.openai_responses import OpenAIResponses
from tests.llm.fakes.provider import Fake

TIMEOUT_S = 60.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOLS = [BUILT_IN_TOOLS[name].spec for name in ("memory_insert", "conversation_search")]
_AGENT = Agent(
    id="agent-1",
    organization_id="org-1",
    name="ada",
    system="Be kind.",
    model="x/y",
    created_at=NOW,
    updated_at=NOW,
)


@dataclass(frozen=True)
class Kind:
    """A column of the table: who is spoken to, and by what name in O."""

    title: str
    fake: Callable[[], Fake]
    provider_type: str
    wire: str
    path: str
    key: str = ""
    more: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "openai": Kind("OpenAI chat", OpenAIChat, "openai", "openai", "/v1", "sk-openai"),
    "responses": Kind(
        "OpenAI responses", OpenAIResponses, "openai", "responses", "/v1", "sk-openai"
    ),
    "azure": Kind("Azure OpenAI", Azure, "azure", "azure", "", "azure-key"),
    "anthropic": Kind("Anthropic", Anthropic, "anthropic", "anthropic", "", "sk-ant"),
    "bedrock": Kind(
        "Bedrock",
        Bedrock,
        "bedrock",
        "bedrock",
        "",
        "SKEY",
        {"access_key": SecretStr("AKEY"), "region": "eu-west-1"},
    ),
    "gemini": Kind("Gemini", Gemini, "google_ai", "gemini", "/v1beta", "sk-gem"),
    "groq": Kind("Groq", Groq, "groq", "openai", "/openai/v1", "gsk-groq"),
    "mistral": Kind("Mistral", Mistral, "mistral", "mistral", "/v1", "sk-mistral"),
    "deepseek": Kind("DeepSeek", DeepSeek, "deepseek", "openai", "/v1", "sk-deep"),
    "vllm": Kind("vLLM", VLLM, "vllm", "openai", "/v1", "x"),
    "ollama": Kind("Ollama", Ollama, "ollama", "ollama", ""),
}
"""The columns of the table."""


class Source(ProviderSet):
    """Providers that a test has made."""

    async def providers_of(self, organization_id: str, mark: str | None = None) -> ProviderSet:
        return self


class Bench:
    """One wire: its fake provider, and O's way to it.

    Attributes:
        fake: The provider.
        handle: Its model.
    """

    def __init__(self, name: str, fake: Fake, url: str, models: Models) -> None:
        self.name = name
        self.fake = fake
        self.url = url
        self.models = models
        self.handle = f"{name}/{fake.model}"

    async def hurried(self) -> Models:
        """Another way to the same provider, which waits half a second only."""
        models = Models(Source([provider_at(self.name, self.url)]), timeout_s=0.5)
        for _ in range(200):
            with suppress(ModelError):  # until its wire is loaded
                await self.ask(History().user("Are you there?"), models=models)
                break
        return models

    async def ask(
        self,
        history: "History",
        deltas: list[ReplyDelta] | None = None,
        *,
        models: Models | None = None,
        **settings: Any,
    ) -> ModelReply:
        """Ask for the next reply, streamed where there are `deltas` to be filled."""

        async def keep(delta: ReplyDelta) -> None:
            assert deltas is not None
            deltas.append(delta)

        request = ModelRequest.model_validate(
            {
                "handle": self.handle,
                "prompt": history.prompt(self.handle),
                "tools": [tool.model_dump() for tool in TOOLS],
                "settings": {"max_output_tokens": 99} | settings,
                "parallel_calls": True,
                "context_window": 32_000,
            }
        )
        reply = await (models or self.models).complete(request, None if deltas is None else keep)
        history.replied(reply, self.handle)
        return reply


def models_at(url: str) -> Models:
    """The way to all fake providers."""
    return Models(Source([provider_at(name, url) for name in KINDS]), timeout_s=TIMEOUT_S)


def provider_at(name: str, url: str) -> Provider:
    """The provider of a column."""
    kind = KINDS[name]
    key = SecretStr(kind.key) if kind.key else None
    base_url = f"{url}/{name}{kind.path}"
    return Provider(name, kind.provider_type, kind.wire, base_url, key, **kind.more)


class History:
    """What has been said, stored as a worker stores it, and shown to models as one shows it."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def prompt(self, handle: str) -> list[dict[str, Any]]:
        """The prompt of the next call."""
        prompt = Prompt()
        for message in self._messages:
            prompt.add(_AGENT, message)
        system = self._made(Role.SYSTEM, [TextPart(text="Be kind, ünd brief.")])
        return prompt.chat(system, handle)

    def user(self, text: str, *, image: bool = False) -> "History":
        """The user says something, and perhaps shows a picture."""
        parts: list[Part] = [TextPart(text=text)]
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            parts.append(ImagePart(source=source))
        self._messages.append(self._made(Role.USER, parts))
        return self

    def replied(self, reply: ModelReply, handle: str) -> None:
        """A model has replied."""
        parts: list[Part] = []
        if reply.reasoning:
            parts.append(
                ReasoningPart(reasoning=reply.reasoning, signature=reply.reasoning_signature)
            )
        parts += [RedactedPart(data=data) for data in reply.redacted_reasoning]
        if reply.text:
            parts.append(TextPart(text=reply.text))
        n = len(self._messages)
        calls = [
            call.model_copy(
                update={"id": f"ours-{n}-{m}", "given": GivenId(id=call.id, model=handle)}
                if call.id
                else {"id": f"ours-{n}-{m}"}
            )
            for m, call in enumerate(reply.tool_calls)
        ]
        extras, _ = extras_to_store(handle, reply.extras, reply.call_extras, reply.thought_in)
        said = self._made(Role.ASSISTANT, parts).model_copy(
            update={"tool_calls": calls, "step_id": f"step-{n}", "extras": extras}
        )
        self._messages.append(said)

    def returned(self, *contents: str) -> "History":
        """The calls of the last reply have returned."""
        for call, content in zip(self._messages[-1].tool_calls, contents, strict=True):
            returned = ToolReturn(
                tool_call_id=call.id, name=call.name, status="success", content=content
            )
            made = self._made(Role.TOOL, []).model_copy(update={"tool_return": returned})
            self._messages.append(made)
        return self

    def _made(self, role: Role, parts: list[Part]) -> Message:
        return Message(
            id=f"message-{len(self._messages)}",
            organization_id="org-1",
            agent_id="agent-1",
            conversation_id="conv-1",
            position=len(self._messages),
            role=role,
            parts=parts,
            created_at=NOW,
        )
