"""OpenAI's spelling of embeddings, and V1's of the models that make them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.wire.fields import RequestBody, Text, with_example
from o.errors import InvalidInput
from o.llm.embedding.embeddings import Input, Vectors, as_base64
from o.llm.embedding.models import USUAL_DIMENSIONS, dimensions_of
from o.llm.providers.catalogue import CatalogueEntry

# V1 has no word for the others, which all speak OpenAI's wire.
_ENDPOINT_TYPES = frozenset(
    {"anthropic", "azure", "bedrock", "google_ai", "google_vertex", "groq", "hugging-face"}
    | {"mistral", "ollama", "openai", "together", "vllm"}
)
_MOST_INPUTS = 2_048
_MOST_TOKENS = 100_000
Token = Annotated[int, Field(ge=0, le=2**31)]
Tokens = Annotated[list[Token], Field(max_length=_MOST_TOKENS)]


class EmbeddingsBody(RequestBody):
    """OpenAI's request: one input or several, each a text or its tokens."""

    model_config = with_example(
        model="openai/text-embedding-3-small", input=["Ada likes tea.", "It rains."]
    )

    model: Text = Field(description="The handle of a model, `<provider>/<model>`")
    input: (
        Text
        | Annotated[list[Text], Field(max_length=_MOST_INPUTS)]
        | Tokens
        | Annotated[list[Tokens], Field(max_length=_MOST_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, le=16_384)

    def inputs(self) -> list[Input]:
        """All that is to be embedded.

        Raises:
            InvalidInput: There is nothing, or nothing in one of them.
        """
        given = self.input
        is_one = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
        inputs: list[Input] = [given] if is_one else list(given)  # type: ignore[list-item, arg-type]
        if not inputs or not all(inputs):
            raise InvalidInput("'input' must not be empty, nor may any of its entries.")
        return inputs


class EmbeddingEntry(BaseModel):
    """One vector: numbers, or 32-bit floats in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens, as the provider counted them."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """OpenAI's list of embeddings."""

    object: Literal["list"] = "list"
    data: list[EmbeddingEntry]
    model: str
    usage: EmbeddingUsage

    @classmethod
    def of(cls, found: Vectors, body: EmbeddingsBody) -> "EmbeddingsAnswer":
        """The vectors as they were asked for."""
        packed = body.encoding_format == "base64"
        return cls(
            data=[
                EmbeddingEntry(index=n, embedding=as_base64(vector) if packed else vector)
                for n, vector in enumerate(found.vectors)
            ],
            model=body.model,
            usage=EmbeddingUsage(prompt_tokens=found.tokens, total_tokens=found.tokens),
        )


class EmbeddingModelBody(BaseModel):
    """V1's `EmbeddingModel`."""

    handle: str
    name: str
    display_name: str
    provider_type: str
    provider_name: str
    model_type: Literal["embedding"] = "embedding"
    embedding_endpoint_type: str
    embedding_endpoint: str | None = None
    embedding_model: str
    embedding_dim: int
    embedding_chunk_size: int | None = 300
    batch_size: int = 32
    azure_endpoint: str | None = None
    azure_version: str | None = None
    azure_deployment: str | None = None

    @classmethod
    def of(cls, entry: CatalogueEntry) -> "EmbeddingModelBody":
        """The model as V1 shows it. Its endpoint stays with the operator."""
        kind = entry.provider.provider_type
        return cls(
            handle=entry.handle,
            name=entry.model,
            display_name=entry.model,
            provider_type=kind,
            provider_name=entry.provider.name,
            embedding_endpoint_type=kind if kind in _ENDPOINT_TYPES else "openai",
            embedding_model=entry.model,
            embedding_dim=dimensions_of(entry.model) or USUAL_DIMENSIONS,
        )
