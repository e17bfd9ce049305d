"""The models that agents can use, and those that embed text."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from api.deps import ActorDep, PartsDep, refuse_category
from api.wire.embeddings import EmbeddingModelBody
from api.wire.models import ModelBody

router = APIRouter(prefix="/models", tags=["models"], dependencies=[Depends(refuse_category)])


@router.get("/", operation_id="list_models", summary="List language models")
async def index(
    parts: PartsDep,
    actor: ActorDep,
    provider_category: Annotated[list[Literal["base", "byok"]] | None, Query()] = None,
    provider_name: str | None = None,
    provider_type: str | None = None,
) -> list[ModelBody]:
    """Every model of every provider that answers, in the providers' order.

    `provider_category` is taken and means nothing: there is one kind of provider.
    """
    entries = await parts.catalogue.list_models(actor.organization_id)
    models = [ModelBody.of(entry) for entry in entries]
    return [
        model
        for model in models
        if provider_name in (None, model.provider_name)
        and provider_type in (None, model.provider_type)
    ]


@router.get("/embedding", operation_id="list_embedding_models", summary="List embedding models")
async def embedding(parts: PartsDep, actor: ActorDep) -> list[EmbeddingModelBody]:
    """Every model that embeds text, as its name or its provider tells."""
    entries = await parts.catalogue.list_embedding_models(actor.organization_id)
    return [EmbeddingModelBody.of(entry) for entry in entries]
