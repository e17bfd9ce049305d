"""A Docker engine, through the package `docker`, whose calls block and so run in threads.

No other file knows that package.
"""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from docker import APIClient

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_HOST = "unix:///var/run/docker.sock"
_log = logging.getLogger(__name__)
_TIMEOUT_S = 30
_REMOVAL_S = 10
_THREADS = 8
_OOM_PATIENCE_S = 0.3


class EngineFailed(Exception):
    """The engine did not do what it was asked, in its own words."""


class EngineAway(EngineFailed):
    """Nobody answers there."""


class EngineForbidden(EngineFailed):
    """This user may not speak with it."""


class NotThere(EngineFailed):
    """The engine knows no such image or container."""


class Engine:
    """What is asked of a Docker engine. Every method raises EngineFailed or one of its kinds."""

    def __init__(self, host: str) -> None:
        """Speak with the engine at `unix://…` or `tcp://…`."""
        self.host = host
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")
        self._client: APIClient | None = None

    async def info(self) -> Mapping[str, Any]:
        """What the engine says of itself."""
        return await self._ask(lambda api: api.info())

    async def image_id(self, name: str) -> str:
        """The id of an image; NotThere where there is none."""
        return str((await self._ask(lambda api: api.inspect_image(name)))["Id"])

    async def create(self, settings: Mapping[str, Any], host_settings: Mapping[str, Any]) -> str:
        """Make a container, which does not run yet; its id."""

        def create(api: "APIClient") -> str:
            host_config = api.create_host_config(**host_settings)
            made = api.create_container(**settings, host_config=host_config)
            return str(made["Id"])

        return await self._ask(create)

    async def start(self, container: str) -> socket.socket:
        """Start a container; the socket carries its stdin, and its output in frames."""

        def start(api: "APIClient") -> socket.socket:
            ways = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            attached = api.attach_socket(container, params=ways)
            # The response would close its socket when it is collected: this one is ours.
            ours = socket.socket(fileno=os.dup(attached.fileno()))
            attached.close()
            try:
                ours.setblocking(False)
                api.start(container)
            except BaseException:
                ours.close()
                raise
            return ours

        return await self._ask(start)

    async def remove(self, container: str) -> None:
        """Kill and remove a container; it may be gone already."""

        def remove(api: "APIClient") -> None:
            try:
                api.remove_container(container, force=True, v=True)
            except errors.APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                # It ended by itself, and the engine is removing it. To be told of the end of that
                # can take for ever where it has come already.
                until = time.monotonic() + _REMOVAL_S
                while time.monotonic() < until:
                    api.inspect_container(container)
                    time.sleep(0.02)

        from docker import errors  # noqa: PLC0415 - see `_answer`

        with suppress(NotThere):
            await self._ask(remove)

    async def containers(self, labels: list[str]) -> list[tuple[str, dict[str, str]]]:
        """Ids and labels of the containers that have these labels, running or not."""
        found = await self._ask(lambda api: api.containers(all=True, filters={"label": labels}))
        return [(one["Id"], one["Labels"] or {}) for one in found]

    async def ran_out_of_memory(self, container: str, since: float) -> bool:
        """Whether the kernel ended a process of a container for its memory.

        `State.OOMKilled` does not say so of a process that is not the first; events do.
        """

        def look(api: "APIClient") -> bool:
            seen = api.events(
                since=f"{since - 1:.3f}",
                until=f"{time.time() + _OOM_PATIENCE_S:.3f}",
                filters={"container": container, "event": "oom"},
            )
            return bool(list(_actions(seen)))  # to its end, so that it is closed

        return await self._ask(look)

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()
        self._threads.shutdown(wait=False)

    async def _ask(self, question: Callable[["APIClient"], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._answer, question)

    def _answer(self, question: Callable[["APIClient"], T]) -> T:
        # Late, as it loads `requests`: a worker whose tools run elsewhere has no use for it.
        from docker import APIClient, errors  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415

        try:
            if self._client is None:
                self._client = APIClient(
                    base_url=self.host, version="auto", timeout=_TIMEOUT_S, max_pool_size=_THREADS
                )
                # No proxy of the environment leads to an engine, and reading it races with whoever
                # changes it.
                self._client.trust_env = False
            return question(self._client)
        except errors.NotFound as error:
            raise NotThere(error.explanation or str(error)) from error
        except errors.APIError as error:
            raise EngineFailed(error.explanation or str(error)) from error
        except (errors.DockerException, RequestException, OSError) as error:
            if "Permission denied" in str(error):
                raise EngineForbidden(str(error)) from error
            raise EngineAway(str(error)) from error


def _actions(stream: Iterator[bytes]) -> Iterator[str]:
    for part in stream:
        for line in part.splitlines():
            if line.strip():
                yield str(json.loads(line).get("Action"))
