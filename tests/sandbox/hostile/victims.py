"""A machine that hostile tools are let loose beside: what they may reach for, and must not get."""

import asyncio
import glob
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

SECRET = "O_HOSTILE_SECRET"
_HTTP = "HTTP/1.1 {}\r\nContent-Length: 2\r\nConnection: close\r\n{}\r\nhi"


class Host:
    """Files, sockets, a process and a variable of this machine.

    Attributes:
        canary: A file that everybody here may read.
        allowed: A host and port that the egress proxy is told to let through.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.canary = folder / "canary"
        self._text, self._secret = (secrets.token_hex(16) for _ in range(2))
        self._reached: list[bytes] = []
        self._servers: list[asyncio.Server] = []
        self._abstract = f"o-hostile-{secrets.token_hex(8)}"

    async def __aenter__(self) -> Self:
        self.canary.write_text(self._text)
        self.canary.chmod(0o644)
        os.environ[SECRET] = self._secret
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        self._bystander = subprocess.Popen(sleep)
        reached = await asyncio.start_server(self._reach, "127.0.0.1", 0)
        self._port = reached.sockets[0].getsockname()[1]
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0" + self._abstract)
        origin = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.allowed = f"127.0.0.1:{origin.sockets[0].getsockname()[1]}"
        self._servers = [
            origin,
            reached,
            await asyncio.start_unix_server(self._reach, self._folder / "socket"),
            await asyncio.start_unix_server(self._reach, sock=abstract),
        ]
        (self._folder / "socket").chmod(0o777)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        self._bystander.kill()
        self._bystander.wait()
        os.environ.pop(SECRET, None)

    async def resolve(self, host: str, port: int) -> Iterable[str]:
        """Names lead to loopback or to metadata; no packet is to leave, whatever the proxy does."""
        with suppress(OSError):
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
            return [host]
        return ["169.254.169.254" if "metadata" in host else "127.0.0.1"]

    def world(self, token: str) -> dict[str, Any]:
        """What a tool is told. Secrets are told backwards, so that only they are found."""
        addresses = [
            address.address.partition("%")[0]
            for each in psutil.net_if_addrs().values()
            for address in each
            if address.family in {socket.AF_INET, socket.AF_INET6}
        ]
        own = Path(__file__).resolve()
        return {
            "canary": str(self.canary),
            "canary_reversed": self._text[::-1],
            "secret_reversed": self._secret[::-1],
            "files": [str(own), str(own.parents[3]), str(self._folder)],
            "unix_socket": str(self._folder / "socket"),
            "abstract_socket": self._abstract,
            "pid": os.getpid(),
            "pids": [self._bystander.pid, os.getpid()],
            "port": self._port,
            "addresses": addresses,
            "allowed": self.allowed,
            "token": token,
            "mark": str(self._folder / token),
        }

    def problems(self, token: str) -> list[str]:
        """What has happened to this machine."""
        found = [f"something reached it: {said!r}" for said in self._reached if said]
        if self.canary.read_text() != self._text:
            found.append("the canary was changed")
        if self._bystander.poll() is not None:
            found.append("a process of this machine was ended")
        if glob.glob(f"/tmp/*{token}*") or (self._folder / token).exists():
            found.append("it has made a file on this machine")
        return found

    async def is_left_alone(self) -> bool:
        """Whether nothing that tools started is left, within 20 seconds, and nobody called."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if not any(_is_of_a_tool(process) for process in psutil.process_iter(["cmdline"])):
                return not self._reached
            await asyncio.sleep(0.2)  # processes end when they end
        return False

    async def _reach(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, OSError):
            self._reached.append(b"connected " + await asyncio.wait_for(reader.read(1000), 1))
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, OSError, ValueError):
            line = await asyncio.wait_for(reader.readline(), 2)
            away = f"Location: http://127.0.0.1:{self._port}/\r\n"
            told = ("302 Found", away) if b"/redirect" in line else ("200 OK", "")
            writer.write(_HTTP.format(*told).encode())
            await writer.drain()
        writer.close()


def _is_of_a_tool(process: psutil.Process) -> bool:
    return any("o-token-" in part for part in process.info["cmdline"] or ())
