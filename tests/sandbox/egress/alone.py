"""Run in a network namespace that has loopback only: tools that reach out of their sandboxes.

Whatever the guard lets through by mistake has no way out of here. Prints what the tools told, as
JSON.
"""

import asyncio
import fcntl
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from o.settings.all import Settings
from sandbox.egress.exits import Egress
from sandbox.egress.policy import network_for
from sandbox.protocol import Job, JobResult
from tests.sandbox.egress.backends import sandbox_of
from tests.sandbox.egress.packages import HTTP_CLIENTS, copied
from tests.sandbox.plain import nothing
from tests.support.certificates import Files, self_signed

_SET_FLAGS, _UP = 0x8914, 0x41  # SIOCSIFFLAGS; IFF_UP | IFF_RUNNING
_ADDRESSES = {
    "good.test": ["127.0.0.1"],
    "private.test": ["10.1.2.3"],
    "local.test": ["127.0.0.1"],
    "half.test": ["169.254.169.254", "127.0.0.2"],
}


class _Host(BaseHTTPRequestHandler):
    """Says what it was sent; `/away` leads to the metadata address."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest/meta-data/")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        answer = b"heard " + body
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _serve(files: Files | None) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


async def _resolve(host: str, port: int) -> Iterable[str]:
    return _ADDRESSES.get(host, [host])


async def _run(backend: str, data_dir: Path) -> dict[str, object]:
    data_dir.mkdir()
    files = self_signed(data_dir, "good.test")
    secure, plain = _serve(files), _serve(None)
    settings = Settings(
        data_dir=data_dir,
        sandbox_allow=(f"good.test:{secure}", f"good.test:{plain}"),
        sandbox_ports=(80, 443, secure, plain),
        sandbox_ca_file=files.ca,
    )
    egress = Egress(settings, resolve=_resolve)
    await egress.start()
    sandbox = sandbox_of(backend, egress, data_dir)
    await sandbox.start()
    good = f"https://good.test:{secure}/"
    packages = copied(HTTP_CLIENTS, data_dir / "deps")

    async def call(file: str, function: str, **arguments: object) -> JobResult:
        source = Path(__file__).with_name(file).read_text()
        job = Job(
            "job-1",
            source,
            function,
            arguments,
            packages=packages,
            network=network_for(settings),
        )
        return await sandbox.run(job, before_sending=nothing)

    refused = [
        f"https://local.test:{secure}/",
        f"http://127.0.0.1:{plain}/",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "http://10.0.0.5/",
        "https://private.test/",
        "http://half.test/",
        f"http://good.test:{plain}/away",
    ]
    reached = await call(
        "reaching.py", "reach", urls=[good, f"http://good.test:{plain}/", *refused]
    )
    bulk = await call("tricking.py", "bulk", url=good)
    tricks = await call("tricking.py", "tricks", path="/run/o/egress")
    await sandbox.close()
    await egress.close()
    return {
        "failure": reached.failure and reached.failure.message,
        "result": reached.result,
        "hosts": list(reached.hosts),
        "good": [f"good.test:{secure}", f"good.test:{plain}"],
        "bulk": bulk.result or str(bulk.failure),
        "tricks": tricks.result or str(tricks.failure),
        "left": [path.name for path in (data_dir / "egress").iterdir()],
    }


def main(backend: str, data_dir: Path) -> None:
    """Raise loopback, and run the tools."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    sys.stdout.write(json.dumps(asyncio.run(_run(backend, data_dir))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
