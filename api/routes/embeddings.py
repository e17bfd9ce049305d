"""Embeddings, as OpenAI's clients ask for them."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from api.bodies import answer
from api.deps import ActorDep, PartsDep
from api.documentation import FAILED_OPENAI, NOT_BUILT_OPENAI, OPENAI_ERRORS
from api.errors import NO_RETRY
from api.wire.answers import failure_body
from api.wire.embeddings import EmbeddingsAnswer, EmbeddingsBody
from o.domain.runs import RunError
from o.errors import ModelError

router = APIRouter(tags=["models"], responses=OPENAI_ERRORS | FAILED_OPENAI | NOT_BUILT_OPENAI)


@router.post(
    "/embeddings",
    operation_id="create_embeddings",
    summary="Make vectors of texts",
    response_model=EmbeddingsAnswer,
)
async def embed(body: EmbeddingsBody, actor: ActorDep, parts: PartsDep) -> Response:
    """Ask the provider that the model's handle names. Nothing is stored."""
    inputs = body.inputs()
    entry = await parts.catalogue.get(body.model, actor.organization_id)
    try:
        found = await parts.embedder.embed(
            entry.provider, entry.model, inputs, dimensions=body.dimensions
        )
    except ModelError as error:
        return _failed(error)
    return answer(EmbeddingsAnswer.of(found, body))


def _failed(error: ModelError) -> Response:
    """The provider's error, and whether and when it is worth asking again."""
    body = failure_body(RunError(type=error.kind, message=error.message, detail=error.detail))
    headers = {} if error.retryable else dict(NO_RETRY)
    if error.retryable and error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse(body, status_code=error.status, headers=headers)
