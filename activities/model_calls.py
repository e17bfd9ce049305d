"""Asks a model because the API does, outside of any turn."""

import asyncio
from typing import Any

from temporalio import activity

from activities.counting import count_usage
from activities.errors import model_failure, pause_before_retry
from activities.step.measures import count_tokens, measured
from activities.worker_requests import Asked
from o.domain.llm import LanguageModel, ModelReply, ModelRequest
from o.domain.text import storable_json
from o.errors import Failure, ModelError
from o.storage.database import Database

_LATE = "The model has not answered in the time that it has (O_MODEL_TIMEOUT_S)."


class ModelCalls:
    """Serves requests of the kind `ASK_MODEL`.

    A request is `{"call", "agent_id", "within_s"}`: a `ModelRequest`, whose agent it is counted
    for, and the seconds that the model has, however often it is asked. The answer is a
    `ModelReply`. No agent is read for it, and nothing of it is kept beside what it cost.
    """

    def __init__(self, model: LanguageModel, database: Database, *, attempts: int) -> None:
        """Ask nobody yet.

        Args:
            model: All models.
            database: Where usage is counted.
            attempts: How often a model is asked that is busy or down.
        """
        self._model = model
        self._database = database
        self._attempts = attempts

    async def serve(self, asked: Asked) -> dict[str, Any]:
        """Ask the model. It bears repeating, at the price of another call.

        Raises:
            ModelError: There is no usable reply; it is final.
            ApplicationError: The model is busy or away, and is asked again in a moment.
        """
        call = ModelRequest.model_validate(asked.request["call"])
        call = call.model_copy(update={"organization_id": asked.organization_id})
        left_s = float(asked.request["within_s"]) - _waited_s()
        try:
            with measured(call.handle):
                reply = await self._reply(call, left_s)
        except ModelError as error:
            self._raise_if_it_may_help(error, left_s)
            raise _final(error) from None
        count_tokens(reply.usage)
        agent_id = str(asked.request.get("agent_id") or "")
        await count_usage(self._database, asked.organization_id, agent_id, call.handle, reply.usage)
        answer: dict[str, Any] = storable_json(reply.model_dump())
        return answer

    def _raise_if_it_may_help(self, error: ModelError, left_s: float) -> None:
        attempt = activity.info().attempt
        pause = pause_before_retry(error, attempt)
        if error.retryable and attempt < self._attempts and pause.total_seconds() < left_s:
            raise model_failure(error.kind, error.status, retry_in=pause)

    async def _reply(self, call: ModelRequest, left_s: float) -> ModelReply:
        try:
            async with asyncio.timeout(left_s):
                return await self._model.complete(call)
        except TimeoutError:
            raise ModelError("llm_timeout", _LATE, status=504, failure=Failure.TIMEOUT) from None


def _waited_s() -> float:
    """How long ago the request came, when this attempt began; both by Temporal's clock."""
    told = activity.info()
    return max(0.0, (told.started_time - told.scheduled_time).total_seconds())


def _final(error: ModelError) -> ModelError:
    """The same, which nobody repeats: whoever asked is told."""
    return ModelError(error.kind, error.message, detail=error.detail, status=error.status)
