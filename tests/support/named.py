"""Providers on loopback that say who they are: which was asked, for what, with which key."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What a provider was asked."""

    path: str
    key: str
    model: str = ""


class NamedProvider:
    """Speaks the OpenAI wire, and answers `<name>|<model>|<key>`.

    Attributes:
        asked: Every request.
        models: What it lists; a status instead refuses to.
        key: The only one that it takes; None takes all.
        moved_to: Where it sends everybody, if anywhere.
    """

    def __init__(self, name: str, models: Any = ()) -> None:
        self.name = name
        self.asked: list[Asked] = []
        self.models: Any = [{"id": model} for model in models]
        self.key: str | None = None
        self.moved_to: str | None = None
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, {})

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                provider._answer(self, json.loads(self.rfile.read(length) or b"{}"))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "NamedProvider":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def root(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """What a provider's base URL is set to."""
        return f"{self.root}/v1"

    @property
    def calls(self) -> list[Asked]:
        """What it was asked beside lists."""
        return [one for one in self.asked if one.model]

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        key = (handler.headers.get("authorization") or "").removeprefix("Bearer ")
        asked = Asked(handler.path, key, body.get("model", ""))
        self.asked.append(asked)
        status, answer = self._said(asked, body)
        content = json.dumps(answer).encode()
        handler.send_response(status)
        if self.moved_to is not None:
            handler.send_header("location", self.moved_to)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _said(self, asked: Asked, body: dict[str, Any]) -> tuple[int, Any]:
        if self.moved_to is not None:
            return 307, {}
        if self.key is not None and asked.key != self.key:
            return 401, {"error": {"message": f"bad key {asked.key}"}}
        if asked.path.endswith("/models"):
            if isinstance(self.models, int):
                return self.models, {"error": {"message": "no"}}
            return 200, {"data": self.models} if isinstance(self.models, list) else self.models
        if not asked.path.endswith("/chat/completions"):
            return 404, {"error": {"message": "there is nothing here"}}
        message = {"role": "assistant", "content": f"{self.name}|{asked.model}|{asked.key}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return 200, {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
