"""The HTTP client: `http.client` over one kept-alive connection, the least that Python can add."""

import http.client
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bench.provider import HANDLE

_BLOCKS = [
    {"label": "persona", "value": "I am kind."},
    {"label": "human", "value": "Nothing is known yet."},
]


class ApiClient:
    """One client of the API that does one thing at a time."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def create_agent(self) -> str:
        """A new agent with two blocks; answers its id."""
        body = {"name": "bench", "model": HANDLE, "memory_blocks": _BLOCKS}
        created: dict[str, Any] = json.loads(self._ask("POST", "/v1/agents/", body))
        return str(created["id"])

    def take_turn(self, agent_id: str) -> None:
        """Send a message and wait for the reply, as JSON."""
        answer = self._ask("POST", f"/v1/agents/{agent_id}/messages", {"input": "How are you?"})
        if b"All is well." not in answer:
            raise RuntimeError(f"the turn went wrong: {answer[:300]!r}")

    def retrieve_agent(self, agent_id: str) -> None:
        """The agent, with nothing included, as the official client asks by default."""
        self._ask("GET", f"/v1/agents/{agent_id}")

    def list_messages(self, agent_id: str) -> None:
        """The newest hundred messages, which is the default."""
        self._ask("GET", f"/v1/agents/{agent_id}/messages")

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"content-type": "application/json"}
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer
