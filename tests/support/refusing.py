"""A Temporal server that refuses every call, or some, for the reason that it is given."""

import contextlib
import socketserver
import struct
import threading
from collections.abc import Collection, Iterator, Mapping

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

UNAUTHENTICATED, UNAVAILABLE, PERMISSION_DENIED = "16", "14", "7"
_GREETING = "GetSystemInfo"
_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


class _Refusing(socketserver.BaseRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        """One connection, until its client leaves."""
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        calls: dict[int, str] = {}
        while data := self.request.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    path = dict(event.headers)[b":path"].decode()
                    calls[event.stream_id] = path.rpartition("/")[2]
                elif isinstance(event, StreamEnded):
                    self._answer(connection, event.stream_id, calls.pop(event.stream_id))
            self.request.sendall(connection.data_to_send())

    def _answer(self, connection: H2Connection, stream: int, call: str) -> None:
        status = self.server.status
        self.server.asked.append(call)
        is_refused = not self.server.calls or call in self.server.calls
        if call == _GREETING and status != UNAUTHENTICATED:  # with which clients begin
            is_refused = False
        if not is_refused:
            connection.send_headers(stream, _HEADERS)
            said = self.server.answers.get(call, b"")
            connection.send_data(stream, struct.pack(">?I", False, len(said)) + said)
            connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
            return
        refusal = [*_HEADERS, ("grpc-status", status), ("grpc-message", "not you, or not now")]
        connection.send_headers(stream, refusal, end_stream=True)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(
        self, status: str, asked: list[str], calls: Collection[str], answers: Mapping[str, bytes]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Refusing)
        self.calls = calls
        self.answers = answers
        self.status = status
        self.asked = asked


@contextlib.contextmanager
def refusing_temporal(
    status: str = UNAUTHENTICATED,
    asked: list[str] | None = None,
    calls: Collection[str] = (),
    answers: Mapping[str, bytes] | None = None,
) -> Iterator[str]:
    """Its address.

    Args:
        status: What it answers, as gRPC numbers it; unless it is said, nobody is let in.
        asked: Gets the names of the calls.
        calls: Names of those that it refuses; the others are answered. Unset: all.
        answers: The messages that answer them; by nothing, where there is none.
    """
    with _Server(status, [] if asked is None else asked, calls, answers or {}) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()
