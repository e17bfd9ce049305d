"""Vectors of the local model, which the API has a worker make."""

from collections.abc import Sequence

from api.worker_requests import WorkerRequests
from o.domain.embedding import Vector
from o.ids import DEFAULT_ORGANIZATION_ID
from o.storage.worker_requests import EMBED

_TIMEOUT_S = 60.0


class LocalVectors:
    """The local model as the API has it: in a worker, which may be on another machine."""

    def __init__(self, workers: WorkerRequests) -> None:
        self._workers = workers

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> list[Vector]:
        """One vector for each text.

        Raises:
            Unavailable: No worker has answered in time.
            OError: The model failed.
        """
        request = {"texts": list(texts), "is_query": is_query}
        # The model is everybody's.
        answer = await self._workers.ask(
            DEFAULT_ORGANIZATION_ID, EMBED, request, timeout_s=_TIMEOUT_S
        )
        vectors: list[Vector] = answer["vectors"]
        return vectors
