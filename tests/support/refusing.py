"""A Temporal server that lets nobody in: it answers every call with gRPC's UNAUTHENTICATED."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

_ANSWER = [
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "16"),
    ("grpc-message", "who is there?"),
]


class _Refusing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """One connection, until its client leaves."""
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        while data := self.request.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, StreamEnded):
                    connection.send_headers(event.stream_id, _ANSWER, end_stream=True)
            self.request.sendall(connection.data_to_send())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextlib.contextmanager
def refusing_temporal() -> Iterator[str]:
    """Its address."""
    with _Server(("127.0.0.1", 0), _Refusing) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()
