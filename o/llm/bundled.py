"""The bundled model loads behind the start of `o up`: whoever calls it meanwhile waits here."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from o.llm.providers import LOCAL, Provider

_PATIENCE_S = 120.0
_LOOK_EVERY_S = 0.1


async def until_loaded(provider: Provider) -> None:
    """Wait until the bundled model takes connections, which it does once it is loaded.

    Other providers are not waited for. One that is not there in time fails as it is called.
    """
    if provider.name != LOCAL or not provider.of_environment:
        return
    url = urlsplit(provider.base_url)
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while not await _takes_connections(url.hostname or "", url.port or 80):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY_S)


async def _takes_connections(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
