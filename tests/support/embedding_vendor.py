"""A server that embeds, with the limits and the faults of real ones."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class EmbeddingVendor:
    """Answers `/v1/embeddings` and `/v1/models` on loopback.

    A vector tells of its text: its length, then ones, and it is as long as `dimension` says.

    Attributes:
        dimension: Numbers of a vector.
        most_inputs: How many texts one request may have.
        most_chars: How long a text may be.
        too_long: Status and words for one that is longer.
        faults: Texts that hold the word get the answer beside it: "zeros", "one", or a status.
        failures: Status and headers of the next answers, whatever is asked.
        asked: The texts of every request.
        gate: What every request waits for.
    """

    dimension: int = 3
    most_inputs: int = 2_048
    most_chars: int = 1_000_000
    too_long: tuple[int, str] = (400, "the input length exceeds the context length")
    faults: dict[str, str | int] = field(default_factory=dict)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, texts: list[str]) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body."""
        self.asked.append(texts)
        self.gate.wait(60)
        if self.failures:
            status, headers = self.failures.pop(0)
            return status, headers, {"error": {"message": f"scripted {status}"}}
        if len(texts) > self.most_inputs:
            words = f"batch size is invalid, it should not be larger than {self.most_inputs}"
            return 400, {}, {"error": {"message": words, "type": "InvalidParameter"}}
        if any(len(text) > self.most_chars for text in texts):
            status, words = self.too_long
            return status, {}, {"error": words}
        for word, fault in self.faults.items():
            if isinstance(fault, int) and any(word in text for text in texts):
                words = "failed to encode response: json: unsupported value: NaN"
                return fault, {}, {"error": {"message": words}}
        vectors = [self._vector(text) for text in texts]
        if "one" in self.faults.values():  # the texts are taken for parts of one
            vectors = vectors[:1]
        data = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return 200, {}, {"data": data, "usage": {"prompt_tokens": len(texts)}}

    def _vector(self, text: str) -> list[float]:
        if any(word in text and fault == "zeros" for word, fault in self.faults.items()):
            return [0.0] * self.dimension
        return [float(len(text) + 1), *[1.0] * (self.dimension - 1)]


@contextmanager
def embedding_vendor(**how: Any) -> Iterator[EmbeddingVendor]:
    """One that runs until the block ends, with its gate open."""
    vendor = EmbeddingVendor(**how)
    vendor.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # an answer in two packets waits for an acknowledgement

        def do_GET(self) -> None:
            self._say(200, {}, {"data": [{"id": "embed-1"}, {"id": "embed-2"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say(*vendor.answer(body["input"]))

        def _say(self, status: int, headers: dict[str, str], body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        vendor.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
