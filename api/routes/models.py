"""The models that agents can use."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import PartsDep
from api.wire.models import ModelBody

router = APIRouter(prefix="/models", tags=["models"])


@router.get("/", operation_id="list_models")
async def list_models(
    parts: PartsDep,
    provider_name: str | None = None,
    provider_type: Annotated[str | None, Query()] = None,
) -> list[ModelBody]:
    """Every model of every provider that answers, in the providers' order."""
    models = [ModelBody.of(entry) for entry in await parts.catalogue.list_models()]
    return [
        model
        for model in models
        if provider_name in (None, model.provider_name)
        and provider_type in (None, model.provider_type)
    ]
