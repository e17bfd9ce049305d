"""What processes load before they serve: a module that one of them never needs costs it memory."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alembic": "only `o migrate` changes the schema",
    "mako": "alembic brings it",
    "pygments": "alembic brings it",
    "cryptography": "loaded with the first secret",
    "docker": "loaded with the sandboxes of Docker",
    "html_to_markdown": "pages are converted by a process of their own",
    "litellm": "loaded for the providers that it speaks to",
    "mcp": "loaded with the first MCP server",
    "openai": "litellm brings it",
    "opentelemetry.sdk": "loaded where a collector is set",
    "requests": "docker brings it",
    "httpx": "the wires speak through aiohttp",
    "rich": "only `o up` draws",
    "psutil": "only `o up` looks at processes",
    "temporalio.testing": "for tests",
    "tiktoken": "loaded with the first window that is nearly full, of a model of OpenAI's",
}
API = "import server.cli, api.app, api.edge.connection, migrations.schema, server.serving"
WORKER = "import server.cli, server.worker.worker"


def loaded(code: str) -> set[str]:
    """The modules that a Python process has after running `code`."""
    show = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("process", "never"),
    [
        (API, {*HEAVY, "activities", "sandbox.pool", "o.llm.models", "o.web", "temporalio.worker"}),
        (WORKER, {*HEAVY, "fastapi", "starlette", "uvicorn", "api.app"}),
    ],
    ids=["api", "worker"],
)
def test_a_process_loads_nothing_that_it_may_never_need(process: str, never: set[str]) -> None:
    there = loaded(process)
    assert not sorted(never & there)
    assert {"o.settings.all", "temporalio.client"} <= there
