"""V1's two spellings of how a model is called: `model_settings`, and `llm_config` before it."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.wire.fields import Json, RequestBody, Text
from o.domain.agents import Agent
from o.domain.compaction import CompactionSettings
from o.domain.fallbacks import (
    FALLBACK_ALSO_ON,
    FALLBACK_MODELS,
    MAX_FALLBACKS,
    OPTIONAL_FALLBACKS,
)
from o.domain.llm_config import (
    RESPONSE_FORMATS,
    SETTINGS_NAMES,
    embedding_handle_of,
    handle_of,
    options_in,
    settings_in,
)
from o.llm.embedding.models import USUAL_DIMENSIONS, dimensions_of

_PROVIDER_TYPES = frozenset(
    {
        "anthropic",
        "azure",
        "baseten",
        "bedrock",
        "deepseek",
        "google_ai",
        "google_vertex",
        "groq",
        "openai",
        "openrouter",
        "sglang",
        "together",
        "xai",
        "zai",
    }
)
_HANDLE = re.compile(r"[^/\s]{1,128}/\S{1,256}")


def _checked_format(asked: Any) -> Any:
    """V1's `ResponseFormat`: what no provider reads is refused here, not in every turn."""
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.get("type") not in RESPONSE_FORMATS:
        raise ValueError(f"response_format needs a 'type' of {', '.join(RESPONSE_FORMATS)}")
    schema = asked.get("json_schema")
    if asked["type"] == "json_schema" and not (
        isinstance(schema, dict) and isinstance(schema.get("schema"), dict)
    ):
        raise ValueError("json_schema must be an object with 'name' and 'schema'")
    return asked


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    _checked_format(settings.get("response_format"))
    _check_fallbacks(settings)
    if settings.get("tool_calling") not in (None, "native", "json_schema"):
        raise ValueError("tool_calling must be 'native' or 'json_schema'")
    return settings


def _check_fallbacks(settings: dict[str, Any]) -> None:
    """O's own settings: what is asked where the model does not answer."""
    named, also = settings.get(FALLBACK_MODELS), settings.get(FALLBACK_ALSO_ON)
    if named is not None and not (
        isinstance(named, list)
        and len(named) <= MAX_FALLBACKS
        and all(isinstance(handle, str) and _HANDLE.fullmatch(handle) for handle in named)
    ):
        raise ValueError(
            f"{FALLBACK_MODELS} must be a list of up to {MAX_FALLBACKS} handles 'provider/model'"
        )
    if also is not None and not (
        isinstance(also, list) and all(failure in OPTIONAL_FALLBACKS for failure in also)
    ):
        words = ", ".join(OPTIONAL_FALLBACKS)
        raise ValueError(f"{FALLBACK_ALSO_ON} must be a list of {words}")


def checked_compaction(given: dict[str, Any]) -> dict[str, Any]:
    """V1's `CompactionSettings` as they came, when they make sense. A null is what is not said."""
    CompactionSettings.model_validate({k: v for k, v in given.items() if v is not None})
    return given


ModelSettings = Annotated[Json, AfterValidator(_checked_settings)]
"""V1's `model_settings`, or its older `llm_config`, as a client gives it."""

_GOOGLE = ("google_ai", "google_vertex")


class EmbeddingFields(RequestBody):
    """The fields of V1's bodies that say which model embeds."""

    embedding: Text | None = None
    embedding_config: Json | None = None

    def embedding_shown(self) -> dict[str, Any] | None:
        """V1's deprecated `embedding_config`, filled from the handle; None without either."""
        handle = self.embedding_handle()
        if handle is None:
            return None
        provider, _, model = handle.partition("/")
        filled = {
            "embedding_endpoint_type": provider,
            "embedding_endpoint": None,
            "embedding_model": model,
            "embedding_dim": dimensions_of(model) or USUAL_DIMENSIONS,
            "embedding_chunk_size": 300,
            "handle": handle,
            "batch_size": 32,
            "azure_endpoint": None,
            "azure_version": None,
            "azure_deployment": None,
        }
        return filled | _given(self.embedding_config or {})

    def embedding_changes(self) -> dict[str, Any]:
        """Column to value, where another model is asked for; empty where none is."""
        handle = self.embedding_handle()
        if handle is None:
            return {}
        return {"embedding": handle, "embedding_config": self.embedding_shown()}

    def embedding_handle(self) -> str | None:
        """The handle of the embedding model, None when neither spelling names one."""
        if self.embedding is not None or self.embedding_config is None:
            return self.embedding
        return embedding_handle_of(self.embedding_config)


class ModelFields(EmbeddingFields):
    """The fields of V1's agent bodies that say which model is called, and how."""

    model: Text | None = None
    llm_config: ModelSettings | None = None
    model_settings: ModelSettings | None = None
    context_window_limit: int | None = Field(None, ge=1, le=2_000_000_000)
    compaction_settings: Annotated[Json, AfterValidator(checked_compaction)] | None = None
    response_format: Annotated[Json, AfterValidator(_checked_format)] | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = Field(None, ge=1, le=2_000_000_000)
    max_reasoning_tokens: int | None = Field(None, ge=0, le=2_000_000_000)
    enable_reasoner: bool | None = None
    reasoning: bool | None = None

    def fallbacks(self) -> list[str]:
        """The handles of the models that the request has the agent turn to."""
        return fallbacks_named(self.model_settings)

    def handle(self) -> str | None:
        """The handle of the model, None when neither spelling names one."""
        if self.model is not None or self.llm_config is None:
            return self.model
        return handle_of(self.llm_config)

    def context_window(self) -> int | None:
        """Tokens, None when the client leaves them to the model."""
        given = (self.llm_config or {}).get("context_window")
        if self.context_window_limit is not None or not isinstance(given, int) or given < 1:
            return self.context_window_limit
        return min(given, 2_000_000_000)

    def settings(self, current: dict[str, Any]) -> dict[str, Any]:
        """`model_settings` after this request; the newer spelling wins over the older one."""
        older = settings_in(self.llm_config or {})
        alone = {
            "max_output_tokens": self.max_tokens,
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": self.response_format,
        }
        newer = current if self.model_settings is None else self.model_settings
        if self.model_settings is None:
            return newer | older | _given(alone)
        return older | _given(alone) | newer

    def options(self, current: dict[str, Any]) -> dict[str, Any]:
        """What only `llm_config` has a word for, after this request."""
        reasons = self.reasoning if self.enable_reasoner is None else self.enable_reasoner
        older = options_in(self.llm_config or {})
        alone = {"enable_reasoner": reasons, "max_reasoning_tokens": self.max_reasoning_tokens}
        return current | older | _given(alone)


def fallbacks_named(settings: dict[str, Any] | None) -> list[str]:
    """The handles that settings name, none where they are not given."""
    return list((settings or {}).get(FALLBACK_MODELS) or ())


def shown_settings(agent: Agent) -> dict[str, Any]:
    """V1's `model_settings` of an agent, whole: what was not set is filled as V1 fills it."""
    return whole_settings(agent.model, agent.model_settings, agent.llm_options)


def whole_settings(
    handle: str | None, given: dict[str, Any], options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Settings with every field that V1 has for their type of provider.

    Args:
        handle: The model; None where the settings may say the type of provider.
        given: What was set, which is shown as it came.
        options: What only `llm_config` has a word for.
    """
    kind = given.get("provider_type") or _provider_type(handle or "")
    filled = {
        "provider_type": kind,
        "max_output_tokens": 65_536 if kind in _GOOGLE else 4_096,
        "parallel_tool_calls": False,
        "temperature": 1.0,
        "response_schema" if kind in _GOOGLE else "response_format": None,
    }
    return filled | _thinking(kind, options or {}) | _given(given)


def _thinking(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """How the model thinks, in the words of its type of provider; not at all unless that is set."""
    budget = options.get("max_reasoning_tokens") or 1_024
    if kind in ("openai", "sglang"):
        effort = options.get("reasoning_effort") or "minimal"
        return {"reasoning": {"reasoning_effort": effort}, "strict": bool(options.get("strict"))}
    if kind == "anthropic":
        return {
            "thinking": {"type": "disabled", "budget_tokens": budget},
            "verbosity": options.get("verbosity"),
            "effort": options.get("effort"),
            "strict": bool(options.get("strict")),
        }
    if kind in _GOOGLE:
        return {"thinking_config": {"include_thoughts": False, "thinking_budget": budget}}
    return {"thinking": {"type": "disabled", "clear_thinking": False}} if kind == "zai" else {}


def shown_config(agent: Agent) -> dict[str, Any]:
    """V1's deprecated `LLMConfig`, which older clients read the model from."""
    provider, _, model = agent.model.partition("/")
    config: dict[str, Any] = {
        "model": model,
        "display_name": model,
        "handle": agent.model,
        "provider_name": provider,
        "provider_category": "base",
        "model_endpoint_type": _provider_type(agent.model),
        "model_endpoint": None,
        "model_wrapper": None,
        "context_window": agent.context_window,
        "put_inner_thoughts_in_kwargs": False,
        "temperature": 1.0,
        "max_tokens": None,
        "enable_reasoner": True,
        "reasoning_effort": None,
        "max_reasoning_tokens": 0,
        "frequency_penalty": None,
        "parallel_tool_calls": False,
        "response_format": None,
        "strict": False,
    }
    settings = {
        theirs: agent.model_settings[ours]
        for theirs, ours in SETTINGS_NAMES.items()
        if agent.model_settings.get(ours) is not None
    }
    return config | agent.llm_options | settings


def _provider_type(handle: str) -> str:
    """The provider in V1's words; others speak OpenAI's wire."""
    provider = handle.partition("/")[0]
    return provider if provider in _PROVIDER_TYPES else "openai"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
