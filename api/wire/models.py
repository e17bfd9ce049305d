"""V1's spelling of the models that can be used."""

from typing import Self

from pydantic import BaseModel

from o.llm.catalogue import CatalogueEntry


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
    context_window: int
    max_context_window: int
    temperature: float = 1.0
    parallel_tool_calls: bool = False

    @classmethod
    def of(cls, entry: CatalogueEntry) -> Self:
        """The model as V1 shows it. Its endpoint stays with the operator."""
        return cls(
            handle=entry.handle,
            name=entry.model,
            display_name=entry.model,
            model=entry.model,
            provider_type=entry.provider.name if entry.provider.name != "local" else "openai",
            provider_name=entry.provider.name,
            model_endpoint_type=entry.provider.wire,
            context_window=entry.context_window,
            max_context_window=entry.provider.context_window,
        )
