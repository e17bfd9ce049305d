"""The bundled model loads behind the start of `o up`: whoever calls it meanwhile waits here."""

import asyncio
import math
import time
from urllib.parse import urlsplit

from o.errors import Failure, ModelError
from o.llm.providers.providers import LOCAL, Provider

_TO_LOAD_S = 120.0
"""How long it may take until it is there for the first time."""
_TO_LOAD_AGAIN_S = 20.0
"""And when it has died, and is started again: its file is in memory then."""
_LOOK_EVERY_S = 0.1


class BundledModel:
    """Waits for the bundled model while it loads, and no longer than that.

    The time is that of one start and not of each call: once it has passed, calls fail at once,
    until the model takes connections again, or nobody has looked for it for as long as that.
    """

    def __init__(self) -> None:
        self._away_since = self._looked_at = -math.inf
        self._was_there = False

    async def until_loaded(self, provider: Provider) -> None:
        """Wait until the model takes connections, which it does once it is loaded.

        Other providers are not waited for.

        Raises:
            ModelError: It has had its time to load.
        """
        if provider.name != LOCAL or not provider.of_environment:
            return
        url = urlsplit(provider.base_url)
        while not await _takes_connections(url.hostname or "", url.port or 80):
            now = time.monotonic()
            limit_s = _TO_LOAD_AGAIN_S if self._was_there else _TO_LOAD_S
            if now - self._looked_at > limit_s:  # it may have been there meanwhile
                self._away_since = now
            self._looked_at = now
            if now - self._away_since > limit_s:
                raise _away()
            await asyncio.sleep(_LOOK_EVERY_S)
        self._looked_at, self._was_there = -math.inf, True


async def _takes_connections(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def _away() -> ModelError:
    why = "it does not load, or dies: the log of local-model says why"
    return ModelError(
        "llm_error",
        f"The bundled model does not answer: {why}.",
        detail=why,
        retryable=True,
        failure=Failure.UNREACHABLE,
    )
