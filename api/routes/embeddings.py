"""Embeddings, as OpenAI's clients ask for them."""

from collections.abc import Sequence

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from api.bodies import answer
from api.deps import ActorDep, Parts, PartsDep
from api.documentation import FAILED_OPENAI, NOT_BUILT_OPENAI, OPENAI_ERRORS
from api.errors import NO_RETRY
from api.wire.answers import failure_body
from api.wire.embeddings import EmbeddingsAnswer, EmbeddingsBody
from o.domain.embedding import LOCAL_DIMENSIONS, LOCAL_EMBEDDING
from o.domain.runs import RunError
from o.errors import InvalidInput, ModelError
from o.llm.embedding.embeddings import Input, Vectors
from o.llm.providers.catalogue import LOCAL_ENTRY

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
    if entry == LOCAL_ENTRY:
        return answer(EmbeddingsAnswer.of(await _by_the_local_model(body, inputs, parts), body))
    try:
        found = await parts.embedder.embed(
            entry.provider, entry.model, inputs, dimensions=body.dimensions
        )
    except ModelError as error:
        return _failed(error)
    return answer(EmbeddingsAnswer.of(found, body))


async def _by_the_local_model(
    body: EmbeddingsBody, inputs: Sequence[Input], parts: Parts
) -> Vectors:
    """Its vectors, which are of one length; it counts no tokens.

    Raises:
        InvalidInput: It is asked for another length, or given the tokens of another model.
    """
    texts = [one for one in inputs if isinstance(one, str)]
    if len(texts) < len(inputs):
        raise InvalidInput("'input' must be text for this model, which has tokens of its own.")
    if body.dimensions not in (None, LOCAL_DIMENSIONS):
        raise InvalidInput(f"'dimensions' must be {LOCAL_DIMENSIONS} for this model.")
    vectors = await parts.texts.embed(LOCAL_EMBEDDING, "", texts, is_query=False)
    return Vectors(vectors, 0)


def _failed(error: ModelError) -> Response:
    """The provider's error, and whether and when it is worth asking again."""
    body = failure_body(RunError(type=error.kind, message=error.message, detail=error.detail))
    headers = {} if error.retryable else dict(NO_RETRY)
    if error.retryable and error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse(body, status_code=error.status, headers=headers)
