"""How far an archive's passages are embedded; O's own, V1 embeds while a client waits."""

from pydantic import BaseModel, Field

from api.wire.fields import with_example
from api.wire.llm import EmbeddingFields
from o.domain.embedding import EmbeddingProgress


class ReembedBody(EmbeddingFields):
    """By which model an archive is embedded from now on; without one, by its own."""

    model_config = with_example(embedding="local/multilingual-e5-small")


class EmbeddingBody(BaseModel):
    """How the vectors of an archive stand."""

    archive_id: str
    embedding: str | None = Field(
        description="The model's handle; null where words alone are searched"
    )
    dimension: int | None = Field(description="Numbers of a vector; null before the first one")
    replaces: str | None = Field(
        description="The model that searches use until every passage has its new vector"
    )
    total: int = Field(description="Passages of the archive")
    done: int = Field(description="Those that have their vector")
    refused: int = Field(description="Those that the model makes no vector of")
    is_done: bool = Field(description="Whether each of them has its vector or was refused")
    problem: str = Field(description="Why nothing goes on at the moment; empty if it does")
    refusal: str = Field(description="Why the model refuses one of them")

    @classmethod
    def of(cls, archive_id: str, found: EmbeddingProgress) -> "EmbeddingBody":
        """The progress as clients see it."""
        return cls(
            archive_id=archive_id,
            embedding=found.embedding,
            dimension=found.dimension,
            replaces=found.replaces,
            total=found.total,
            done=found.done,
            refused=found.refused,
            is_done=found.is_done,
            problem=found.problem,
            refusal=found.refusal,
        )
