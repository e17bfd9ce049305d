"""V1's spelling of the models that can be used."""

from typing import Self

from pydantic import BaseModel

from o.llm.providers.catalogue import CatalogueEntry


class ModelBody(BaseModel):
    """V1's `Model`."""

    handle: str
    name: str
    display_name: str
    model: str
    model_type: str = "llm"
    provider_type: str
    provider_name: str
    provider_category: str = "base"
    model_endpoint_type: str
    model_endpoint: str | None = None
    model_wrapper: str | None = None
    context_window: int
    max_context_window: int
    temperature: float = 1.0
    max_tokens: int | None = None
    put_inner_thoughts_in_kwargs: bool = False
    enable_reasoner: bool = False
    reasoning_effort: str | None = None
    max_reasoning_tokens: int = 0
    effort: str | None = None
    frequency_penalty: float | None = None
    compatibility_type: str | None = None
    verbosity: str | None = None
    tier: str | None = None
    parallel_tool_calls: bool = False
    response_format: None = None
    strict: bool = False
    return_logprobs: bool = False
    top_logprobs: int | None = None
    return_token_ids: bool = False
    tool_call_parser: str | None = None

    @classmethod
    def of(cls, entry: CatalogueEntry) -> Self:
        """The model as V1 shows it. Its endpoint stays with the operator."""
        return cls(
            handle=entry.handle,
            name=entry.model,
            display_name=entry.model,
            model=entry.model,
            provider_type=entry.provider.provider_type,
            provider_name=entry.provider.name,
            provider_category="base" if entry.provider.of_environment else "byok",
            model_endpoint_type=entry.provider.provider_type,
            context_window=entry.context_window,
            max_context_window=entry.max_context_window,
        )
