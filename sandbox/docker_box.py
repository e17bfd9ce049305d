"""One container for one job: how it is hardened, how its bytes are carried, how it ends."""

import asyncio
import logging
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from sandbox.conversation import Guest
from sandbox.engine import Engine, EngineFailed, NotThere
from sandbox.frames import Inside
from sandbox.guest_code import bundle, command_from_stdin
from sandbox.pool import EXIT, PACKAGES, Spec
from sandbox.protocol import SandboxUnavailable

_log = logging.getLogger(__name__)
_PART = 64 * 1024
_SHM = 8 * 1024 * 1024
_STDOUT = 1


class ContainerLine:
    """Bytes of one container: the engine sends its output in frames of stdout or stderr."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left = 0
        self._is_stdout = False

    @property
    def is_open(self) -> bool:
        """Whether the engine has not closed it."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def send(self, data: bytes) -> None:
        """Send all of it to stdin."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Some of stdout, or none at the end; stderr is dropped."""
        while True:
            if not self._left:
                try:
                    head = await self._reader.readexactly(8)
                except asyncio.IncompleteReadError:
                    return b""
                self._left, self._is_stdout = int.from_bytes(head[4:], "big"), head[0] == _STDOUT
            part = await self._reader.read(min(self._left, _PART))
            self._left -= len(part)
            if self._is_stdout or not part:
                return part

    def close(self) -> None:
        """Let go of it; a guest that waits for a job ends then."""
        self._writer.close()


class DockerBox:
    """A container whose guest waits for its job."""

    def __init__(self, engine: Engine, container: str, line: ContainerLine, inside: Inside) -> None:
        self.line = line
        self.inside = inside
        self._engine = engine
        self._container = container
        self._started_at = time.time()
        self._is_ended = False

    @property
    def is_alive(self) -> bool:
        """Whether its line is open."""
        return self.line.is_open

    async def verdict(self) -> Literal["memory", "lost", ""]:
        """Why it ended, as the engine knows."""
        try:
            if await self._engine.ran_out_of_memory(self._container, self._started_at):
                return "memory"
        except EngineFailed:
            return "lost"
        return ""

    async def end(self) -> None:
        """Kill and remove it. Where the engine is away, whoever reaps does that later."""
        if self._is_ended:
            return
        self._is_ended = True
        try:
            await self._engine.remove(self._container)
        except EngineFailed as error:
            _log.warning("a container is left to be reaped", extra={"why": str(error)})
        finally:
            self.line.close()


class DockerLauncher:
    """Starts hardened containers.

    Attributes:
        python: Which one the image has, once a container was started.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        *,
        runtime: str,
        instance: str,
        worker: str,
        lifetime_s: float,
    ) -> None:
        self.python = ""
        self._engine = engine
        self._image = image
        self._runtime = runtime
        self._labels = {"o.sandbox": "1", "o.instance": instance, "o.worker": worker}
        self._lifetime_s = lifetime_s

    async def launch(self, spec: Spec, exit_folder: Path | None) -> DockerBox:
        """Make and start a container, give it the guest, and wait for its hello."""
        container, connection = "", None
        try:
            container = await self._engine.create(
                self._settings(), self._host_settings(spec, exit_folder)
            )
            connection = await self._engine.start(container)
            return await self._greet(spec, container, connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if container:
                with suppress(EngineFailed):
                    await asyncio.shield(self._engine.remove(container))
            if isinstance(error, NotThere):
                raise SandboxUnavailable(
                    f"the image {self._image} is not there: make it with `make sandbox-image`"
                ) from error
            if isinstance(error, EngineFailed):
                raise SandboxUnavailable(f"the Docker engine starts nothing: {error}") from error
            raise

    async def _greet(self, spec: Spec, container: str, connection: socket.socket) -> DockerBox:
        if connection.family == socket.AF_UNIX:
            reader, writer = await asyncio.open_unix_connection(sock=connection)
        else:
            reader, writer = await asyncio.open_connection(sock=connection)
        line = ContainerLine(reader, writer)
        try:
            await line.send(bundle())
        except OSError as error:
            raise SandboxUnavailable("a container ended when it was started") from error
        guest = Guest(line)
        await guest.ready()
        self.python = guest.python
        inside = Inside(packages=PACKAGES if spec.packages else None)
        return DockerBox(self._engine, container, line, inside)

    def _settings(self) -> dict[str, Any]:
        deadline = time.time() + self._lifetime_s
        return {
            "image": self._image,
            "name": f"o-sandbox-{secrets.token_hex(6)}",
            "command": command_from_stdin(idle_s=self._lifetime_s),
            "entrypoint": [],
            "user": "65534:65534",
            "working_dir": "/tmp",  # noqa: S108 - the container's own
            "hostname": "sandbox",
            "stdin_open": True,
            "labels": self._labels | {"o.deadline": f"{deadline:.0f}"},
        }

    def _host_settings(self, spec: Spec, exit_folder: Path | None) -> dict[str, Any]:
        binds = {}
        if spec.packages is not None:
            binds[str(spec.packages.resolve())] = {"bind": str(PACKAGES), "mode": "ro"}
        if exit_folder is not None:
            binds[str(exit_folder.resolve())] = {"bind": EXIT, "mode": "ro"}
        flags = "nr_inodes=4096,mode=1777,nosuid,nodev,noexec"
        chosen = {"runtime": self._runtime} if self._runtime else {}
        return chosen | {
            "binds": binds,
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
            "auto_remove": True,
            "pids_limit": spec.processes,
            "mem_limit": spec.memory,
            "memswap_limit": spec.memory,
            "nano_cpus": int(spec.cpus * 1e9),
            "ipc_mode": "private",
            "ulimits": [{"name": "nofile", "soft": 256, "hard": 256}, {"name": "core", "soft": 0}],
            "tmpfs": {"/tmp": f"size={spec.disk},{flags}", "/dev/shm": f"size={_SHM},{flags}"},  # noqa: S108
            # The engine would keep what is printed on the disk of this machine.
            "log_config": {"type": "none"},
        }
