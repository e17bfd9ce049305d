"""Real MCP servers, written with the official package, as processes on loopback."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def mcp_server() -> Iterator[Callable[..., str]]:
    """Starts one: `mcp_server("sse", "--tools", "200")` is its URL."""
    started: list[subprocess.Popen[str]] = []

    def start(transport: str, *options: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mcp_server", transport, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        return f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)
