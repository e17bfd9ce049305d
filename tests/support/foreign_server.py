"""A server that is none of O: it answers each request in some other way, and may never end."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator

_OK = b"HTTP/1.1 200 OK\r\n"
_Handler = Callable[[Callable[[bytes], object], threading.Event], None]


def blank_heads(send: Callable[[bytes], object], over: threading.Event) -> None:
    """One blank after the other, in a header that does not end."""
    send(_OK + b"x-y:")
    while not over.wait(0.05):
        send(b" ")


def blank_body(send: Callable[[bytes], object], over: threading.Event) -> None:
    """The same in the body."""
    send(_OK + b"\r\n")
    while not over.wait(0.05):
        send(b" ")


def endless_body(send: Callable[[bytes], object], over: threading.Event) -> None:
    """As fast as it is read."""
    send(_OK + b"\r\n")
    while not over.is_set():
        send(bytes(1 << 20))


def whole(body: bytes, status: bytes = b"200 OK") -> _Handler:
    """A body that ends."""

    def answer(send: Callable[[bytes], object], _: threading.Event) -> None:
        send(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    return answer


@contextlib.contextmanager
def foreign_server(answer: _Handler) -> Iterator[int]:
    """Its port; it answers whatever is asked for, once a connection."""
    over = threading.Event()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with contextlib.suppress(OSError):
                answer(self.request.sendall, over)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Connection) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        yield server.server_address[1]
        over.set()
        server.shutdown()
        serving.join()
