"""The text of this process: all that it has counted, and how its pool stands now."""

from collections.abc import Awaitable, Callable

from o.metrics.exposition import named, text_of, together
from o.metrics.measures import CONNECTIONS, CONNECTIONS_MAX, REGISTRY

Pool = Callable[[], tuple[int, int, int]]
"""Connections in use, idle, and the most that there may be."""


async def nothing() -> str:
    """No text."""
    return ""


class OwnMeasures:
    """What one process shows."""

    def __init__(self, pool: Pool, more: Callable[[], Awaitable[str]] = nothing) -> None:
        """Nothing is looked at yet.

        Args:
            pool: How the pool of the process stands.
            more: Text of others in this process, such as Temporal's client.
        """
        self._pool = pool
        self._more = more

    async def text(self, name: str) -> str:
        """The text, each series with the name of the process."""
        used, idle, most = self._pool()
        CONNECTIONS.labels("used").set(used)
        CONNECTIONS.labels("idle").set(idle)
        CONNECTIONS_MAX.set(most)
        more = await self._more()
        return named(together([text_of(REGISTRY), more]), name)
