"""The ways out of sandboxes: one socket for each, by which the egress proxy knows whose it is."""

import asyncio
import fcntl
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from o.call_tokens import Call, CallTokens
from o.errors import Unavailable
from o.outbound import Resolve
from o.secrets import Keyring
from o.settings.all import Settings
from sandbox.egress.api_door import ApiDoor
from sandbox.egress.dial import Dialer
from sandbox.egress.policy import API_HOST, Rules
from sandbox.egress.proxy import Connections
from sandbox.pool import EXIT
from sandbox.protocol import Job

SOCKET, CA_FILE = "egress", "ca.pem"

_LOCK = "lock"
_BACKLOG = 64


class Exit:
    """The way out of one sandbox. Until a job is let through, and after the last byte, it is shut.

    Attributes:
        folder: What the sandbox sees, read-only, at `/run/o`.
    """

    def __init__(self, folder: Path, connections: Connections, server: asyncio.Server) -> None:
        self.folder = folder
        self._connections = connections
        self._server = server

    def admit(self, job: Job) -> Mapping[str, Any]:
        """Let this job's requests through, as far as its `network` says. Once for each exit.

        A job without a network has the way, too: there it is told that it has none.

        Returns:
            What the forwarder inside is told.
        """
        call = Call(job.organization_id, job.id, job.agent_id) if job.network.api else None
        self._connections.admit(job.network, call)
        ca_file = f"{EXIT}/{CA_FILE}"
        environment = dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), ca_file
        )
        if call is not None:
            environment |= {"LETTA_BASE_URL": f"http://{API_HOST}", "LETTA_API_KEY": "of-this-call"}
        return {"socket": f"{EXIT}/{SOCKET}", "environment": environment}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Which hosts were asked for so far, in order, with `-` before those refused."""
        return self._connections.hosts

    async def close(self) -> None:
        """End what is under way, and take the socket away."""
        self._server.close()
        await self._connections.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Egress:
    """Makes exits. One for each worker; its folder is known by a lock, and so is a dead one's."""

    def __init__(self, settings: Settings, *, resolve: Resolve | None = None) -> None:
        """Make nothing yet.

        Args:
            settings: What tools may reach, and where the API is.
            resolve: How names are looked up, where not by this machine.
        """
        self._home = settings.data_dir.resolve() / "egress"  # engines want whole paths
        self._rules = Rules(settings.sandbox_ports, settings.sandbox_hosts + settings.sandbox_allow)
        self._dialer = Dialer(settings.sandbox_allow, resolve=resolve)
        tokens = CallTokens(Keyring(settings.data_dir, settings.encryption_key))
        self._api = ApiDoor(settings.url_of_api, tokens)
        self._own_ca = settings.sandbox_ca_file
        self._folder: Path | None = None
        self._lock = -1

    async def start(self) -> None:
        """Make this worker's folder, and clear away those of workers that are gone.

        One that failed leaves nothing, and may be tried again.

        Raises:
            Unavailable: It cannot be made.
        """
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._home.chmod(0o700)
            for folder in self._home.iterdir():
                if _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            self._folder = Path(tempfile.mkdtemp(dir=self._home, prefix="worker-"))
            self._hold(self._folder)
            authorities = self._folder / CA_FILE
            authorities.write_text(_authorities(self._own_ca), encoding="ascii")
            authorities.chmod(0o444)
        except OSError as error:
            self._remove_folder()
            where = error.filename or self._home
            raise Unavailable(
                f"No way out can be made for tools: {where}: {error.strerror}"
            ) from error

    def _hold(self, folder: Path) -> None:
        """Hold its lock before that has its name: others would take it for a dead one's."""
        new = folder / f"{_LOCK}.new"
        self._lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / _LOCK)

    async def open(self) -> Exit:
        """A way out for one sandbox.

        Raises:
            OSError: The socket cannot be made.
        """
        assert self._folder is not None, "it was not started"  # noqa: S101
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix="exit-"))
        try:
            listener = _furnish(folder, self._folder / CA_FILE)
            connections = Connections(self._rules, self._dialer, self._api)
            server = await asyncio.start_unix_server(
                connections.serve, sock=listener, limit=connections.MOST_AHEAD
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Exit(folder, connections, server)

    async def close(self) -> None:
        """Take everything away; exits that are open end as well."""
        self._dialer.close()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _furnish(folder: Path, authorities: Path) -> socket.socket:
    """Put into the folder of an exit what it has: whom tools trust, and a socket."""
    folder.chmod(0o755)  # the user inside is another one; the folders above keep others out
    shutil.copy(authorities, folder / CA_FILE)
    return _listen(folder)


def _listen(folder: Path) -> socket.socket:
    """A socket in a folder, however long its path: a socket's own may have 107 bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    short = Path(f"/proc/self/fd/{descriptor}")
    try:
        listener.bind(str((short if short.exists() else folder) / SOCKET))
        (folder / SOCKET).chmod(0o666)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(descriptor)
    listener.setblocking(False)
    return listener


def _is_left(folder: Path) -> bool:
    """Whether a worker made it that is no more."""
    with suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(lock)
    return False


def _authorities(own: Path | None) -> str:
    """Whom tools trust: those of this machine, else of `certifi`, and the operator's own."""
    paths = ssl.get_default_verify_paths()
    file = paths.cafile or paths.openssl_cafile
    if not Path(file).is_file():
        import certifi  # noqa: PLC0415  only where the machine has none

        file = certifi.where()
    texts = [Path(one).read_text(encoding="utf-8", errors="replace") for one in (file, own) if one]
    return "\n".join(texts).encode("ascii", "replace").decode()
