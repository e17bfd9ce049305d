"""The bundled model, as a client of the OpenAI protocol sees it."""

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from server.up import local_model
from tests.support.ports import own_port
from tests.support.product import eventually

pytestmark = pytest.mark.skipif(local_model.find_weights() is None, reason="it is not installed")

QUESTION = {
    "model": "smollm2-135m",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "max_tokens": 12,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = own_port()
    code = f"from server.up.local_model import serve; serve({port})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _answers(port))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            assert process.wait(5) is not None


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_it_answers(url: str) -> None:
    answer = httpx.post(f"{url}/chat/completions", json=QUESTION, trust_env=False, timeout=60)
    body = answer.json()
    assert "Paris" in body["choices"][0]["message"]["content"]
    assert body["usage"]["prompt_tokens"] > 10


def test_it_streams_with_usage_at_the_end(url: str) -> None:
    request = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    with httpx.stream(
        "POST", f"{url}/chat/completions", json=request, trust_env=False, timeout=60
    ) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1])
    assert "Paris" in text
    assert chunks[-1]["usage"]["completion_tokens"] > 1
