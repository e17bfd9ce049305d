"""Tools that ask much of the way out, and that try what it does not do."""

import os
import socket
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def bulk(url: str) -> list[bool]:
    """Much at once, both ways: whether each came back as it was sent."""

    def post(number: int) -> bool:
        body = bytes([number]) + os.urandom(200_000)
        asked = urllib.request.Request(url, data=body)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return bool(answer.read() == b"heard " + body)

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(post, range(16)))


def tricks(path: str) -> dict[str, str]:
    """What a tool tries around the proxy, and at the socket that it finds."""

    def said(raw: bytes) -> str:
        with socket.socket(socket.AF_UNIX) as way:
            way.settimeout(20)
            way.connect(path)
            way.sendall(raw)
            return way.recv(200).decode("latin-1").split("\r\n")[0]

    def outcome(act: Callable[[], object]) -> str:
        try:
            return str(act())
        except Exception as error:
            return type(error).__name__

    return {
        "direct": outcome(lambda: socket.create_connection(("192.0.2.1", 80), 5)),
        "name": outcome(lambda: socket.gethostbyname("good.test")),
        "socket": outcome(lambda: said(b"CONNECT /run/o/egress HTTP/1.1\r\n\r\n")),
        "ssh": outcome(lambda: said(b"CONNECT good.test:22 HTTP/1.1\r\n\r\n")),
        "zone": outcome(lambda: said(b"CONNECT [fe80::1%25lo]:443 HTTP/1.1\r\n\r\n")),
        "mapped": outcome(lambda: said(b"CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\r\n\r\n")),
        "huge": outcome(lambda: said(b"GET http://good.test/ HTTP/1.1\r\nX: " + b"a" * 60_000)),
        "others": str(sorted(os.listdir(os.path.dirname(path)))),
        "up": outcome(lambda: sorted(os.listdir("/run/o/.."))),
        "write": outcome(lambda: open(os.path.join(os.path.dirname(path), "x"), "w")),
        "unlink": outcome(lambda: os.unlink(path)),
    }
