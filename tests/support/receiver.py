"""A client's own server, which waits to be called back."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.product import eventually


@dataclass
class Receiver:
    """Answers every POST as `answer` says, by how many came before it, and keeps what came."""

    answer: Callable[[int], int] = lambda _: 200
    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        """What a client gives as `callback_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def on(self, path: str) -> list[dict[str, Any]]:
        """What came to this path."""
        return [body for asked, body in self.received if asked == path]

    def await_calls(self, path: str, count: int = 1) -> list[dict[str, Any]]:
        """What came to this path, once it has been called so often."""
        eventually(lambda: len(self.on(path)) >= count, what=f"{count} calls of {path}")
        return self.on(path)

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                before = len(receiver.on(self.path))
                receiver.received.append((self.path, body))
                status = receiver.answer(before)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", receiver.url("/elsewhere"))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler
