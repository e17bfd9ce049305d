"""The bundled model, which calls no tools worth the name, held to calls by a schema."""

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from o.domain.llm import ModelRequest, ToolSpec
from o.llm.models import Models
from o.llm.providers.providers import LOCAL_MODEL, Providers
from o.settings.providers import ProviderSettings
from tests.support.ports import own_port
from tests.support.product import REPOSITORY, eventually

NOTE_COLOUR = ToolSpec(
    name="note_colour",
    description="Note a colour.",
    parameters={
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    },
)


@pytest.fixture(scope="module")
def local_model_url() -> Iterator[str]:
    port = own_port()
    argv = [sys.executable, "-m", "server.cli", "local-model", "--port", str(port)]
    process = subprocess.Popen(
        argv, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}/v1"

    def listens() -> bool:
        try:
            return httpx.get(f"{url}/models").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(listens, within_s=60, what="the local model")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("forced", [True, False])
async def test_the_bundled_model_answers_or_calls_as_the_schema_has_it(
    local_model_url: str, forced: bool
) -> None:
    request = ModelRequest(
        handle=f"local/{LOCAL_MODEL}",
        prompt=[{"role": "user", "content": "I like blue."}],
        tools=[NOTE_COLOUR],
        settings={"tool_calling": "json_schema", "max_output_tokens": 60},
        tool_choice="required" if forced else None,
    )
    models = Models(Providers(ProviderSettings(local_model_url=local_model_url)), timeout_s=100)
    try:
        reply = await models.complete(request)
    finally:
        await models.close()
    if forced:
        (call,) = reply.tool_calls
        assert call.name == "note_colour"
        assert json.loads(call.arguments)["colour"] in ("red", "green", "blue")
    else:
        assert reply.tool_calls or reply.text
        assert '"reply"' not in reply.text
