"""An egress proxy with names of its own, and a host that answers on loopback."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from o.settings.all import Settings
from sandbox.egress.dial import Streams
from sandbox.egress.exits import Egress, Exit
from sandbox.protocol import Job, Network


class Origin:
    """A host that keeps what it is sent, byte for byte, and answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        self.awaited = b"\r\n\r\n"
        """With what a request ends that is answered."""
        self.ended: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.requests)
        self.requests.append(b"")
        while piece := await reader.read(65536):
            self.requests[place] += piece
            if self.requests[place].endswith(self.awaited):
                writer.write(self.answer)
                writer.write_eof()
        writer.close()
        self.ended.put_nowait(self.requests[place])

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()


class World:
    """The proxy, one way out for a job, and the names that its resolver knows, each answer once."""

    def __init__(self, data_dir: Path, origin: Origin) -> None:
        self.origin = origin
        self.names: dict[str, list[list[str]]] = {}
        self.settings = Settings(
            data_dir=data_dir,
            sandbox_allow=(f"127.0.0.1:{origin.port}",),
            api_url=f"http://127.0.0.1:{origin.port}" if origin.port else None,
            sandbox_ports=(80, 443, origin.port or 8080),
        )
        self.egress = Egress(self.settings, resolve=self._resolve)

    async def _resolve(self, host: str, port: int) -> Iterable[str]:
        answers = self.names.get(host)
        if answers is None:
            return [host]  # as it stands: an address, or what the guard takes for none
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def way_out(self, network: Network | None = None) -> Exit:
        made = await self.egress.open()
        made.admit(job(network or Network("public")))
        return made

    async def connect(self, way: Exit) -> Streams:
        """A connection as one inside has it, where the folder has a short name."""
        descriptor = os.open(way.folder, os.O_RDONLY)
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/egress")
        finally:
            os.close(descriptor)

    async def say(self, way: Exit, *pieces: bytes) -> bytes:
        """Send bytes through a way out, and return all that comes back."""
        reader, writer = await self.connect(way)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        found = await asyncio.wait_for(reader.read(-1), 20)
        writer.close()
        return found

    async def get(self, way: Exit, place: str) -> bytes:
        return await self.say(
            way, f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n\r\n".encode()
        )


def job(network: Network) -> Job:
    return Job("job-1", "", "f", {}, organization_id="org-1", agent_id="agent-1", network=network)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    origin = Origin()
    await origin.start()
    # Longer than a socket's path may be.
    world = World(tmp_path / ("long" * 30), origin)
    await world.egress.start()
    yield world
    await world.egress.close()
    origin.stop()
