"""Which models there are is told by `o up` and `o doctor`, who ask for them."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from o.domain.llm import ModelRequest
from o.errors import ModelError
from o.llm.models import Models
from o.llm.providers import bundled
from o.llm.providers.catalogue import Catalogue, embeds_text
from o.llm.providers.providers import Providers
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.doctor import examine
from server.up import local_model
from tests.support.ports import own_port
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider
from tests.up.conftest import NewProduct

IDS = ["gpt-4o-mini", "llama3:8b", "text-embedding-3-small", "nomic-embed-text:latest"]


class _Models(BaseHTTPRequestHandler):
    """A server of OpenAI's protocol that wants no key, and no empty one either."""

    def do_GET(self) -> None:
        refused = self.headers.get("authorization") is not None
        self.send_response(401 if refused else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": id_} for id_ in IDS]}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def keyless() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


async def test_a_server_without_a_key_is_a_provider_and_what_embeds_text_is_not_listed(
    keyless: str,
) -> None:
    catalogue = Catalogue(Providers(ProviderSettings(openai_base_url=keyless)))
    listed = [entry.handle for entry in await catalogue.list_models()]
    assert listed == ["openai/gpt-4o-mini", "openai/llama3:8b"]
    assert [state.count for state in await catalogue.survey()] == [2]
    assert (await catalogue.get("openai/text-embedding-3-small")).model == IDS[2]


@pytest.mark.parametrize(
    "name",
    [
        "text-embedding-ada-002",
        "mxbai-embed-large",
        "all-minilm:l6-v2",
        "BAAI/bge-m3",
        "bge-large:latest",
        "intfloat/e5-mistral-7b-instruct",
        "Alibaba-NLP/gte-large-en",
        "snowflake-arctic-embed2",
        "Qwen/Qwen3-Embedding-8B",
    ],
)
def test_names_of_models_that_embed_text_are_known(name: str) -> None:
    assert embeds_text(name)


@pytest.mark.parametrize(
    "name", ["gpt-4o", "claude-sonnet-4-5", "gemma2:9b", "phi4-mini", "embedded-coder-7b", "gte5"]
)
def test_names_of_language_models_are_not_taken_for_them(name: str) -> None:
    assert not embeds_text(name)


def test_the_doctor_asks_every_provider(tmp_path: Path, keyless: str) -> None:
    providers = ProviderSettings(openai_base_url=keyless, ollama_base_url="http://127.0.0.1:9")
    findings = examine(Settings(data_dir=tmp_path, port=0), providers)
    openai, ollama = findings[-2:]
    assert (openai.level, openai.what) == (
        "ok",
        "openai answers: 2 models, listed at /v1/models/",
    )
    assert ollama.level == "warn"
    assert "ollama does NOT answer" in ollama.what
    assert "OLLAMA_BASE_URL" in ollama.what


def test_a_start_says_who_answered_and_the_end_is_told(product: NewProduct, keyless: str) -> None:
    env = {"OPENAI_BASE_URL": keyless, "OLLAMA_BASE_URL": "http://127.0.0.1:9"}
    up = product(environment=env).start()
    up.stop()
    said = up.process.stdout.read()
    assert "ollama does NOT answer" in said
    assert said.rstrip().endswith("stopped")


@pytest.mark.skipif(local_model.find_weights() is None, reason="it is not installed")
def test_a_start_does_not_wait_for_the_bundled_model(product: NewProduct) -> None:
    up = product(environment={"OPENAI_BASE_URL": ""}, local_model="silent").start()
    first = eventually(lambda: up.pid("local-model"), what="the process that would load it")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: up.pid("local-model") not in (None, first), what="another one")
    up.stop()
    said = up.process.stdout.read()
    assert f"Model        {local_model.HANDLE}, bundled" in said
    assert " s  local model" not in said


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[None]:
    """Has an item for each connection that nobody took."""
    noted: asyncio.Queue[None] = asyncio.Queue()
    connect = asyncio.open_connection

    async def connect_or_note(*place: Any) -> Any:
        try:
            return await connect(*place)
        except OSError:
            noted.put_nowait(None)
            raise

    monkeypatch.setattr(asyncio, "open_connection", connect_or_note)
    return noted


async def test_who_calls_the_bundled_model_while_it_loads_waits_for_it(
    refused: asyncio.Queue[None],
) -> None:
    port = own_port()
    models = Models(
        Providers(ProviderSettings(local_model_url=f"http://127.0.0.1:{port}/v1")), timeout_s=60
    )
    request = ModelRequest(
        handle=local_model.HANDLE, prompt=[{"role": "user", "content": "hello"}], tools=[]
    )
    call = asyncio.create_task(models.complete(request))
    for _ in range(2):
        await asyncio.wait_for(refused.get(), 20)
    assert not call.done()
    late = FakeProvider(port=port)
    late.start()
    try:
        assert (await call).text == "You said: hello"
    finally:
        await models.close()
        late.stop()


async def test_a_bundled_model_that_does_not_come_holds_up_one_start_and_not_each_call(
    monkeypatch: pytest.MonkeyPatch, refused: asyncio.Queue[None]
) -> None:
    later_s = 0.0
    # On this clock a look takes ten seconds, and nothing else any time.
    clock = SimpleNamespace(monotonic=lambda: later_s + 10.0 * refused.qsize())
    monkeypatch.setattr(bundled, "time", clock)
    monkeypatch.setattr(bundled, "_LOOK_EVERY_S", 0.0)
    port = own_port()
    models = Models(
        Providers(ProviderSettings(local_model_url=f"http://127.0.0.1:{port}/v1")), timeout_s=60
    )
    request = ModelRequest(
        handle=local_model.HANDLE, prompt=[{"role": "user", "content": "hello"}], tools=[]
    )

    async def looks() -> list[int]:
        """How often each of three calls looks for it before it fails."""
        counts = []
        for _ in range(3):
            before = refused.qsize()
            with pytest.raises(ModelError, match="bundled model does not answer"):
                await models.complete(request)
            counts.append(refused.qsize() - before)
        return counts

    assert await looks() == [14, 1, 1], "the next ones do not wait"
    later_s += 3600
    assert await looks() == [14, 1, 1], "whether it was away all that time nobody knows"
    model = FakeProvider(port=port)
    model.start()
    try:
        assert (await models.complete(request)).text == "You said: hello"
    finally:
        model.stop()
    # It has died, and is waited for as long as it takes to start it again.
    assert await looks() == [4, 1, 1]
    await models.close()


def test_an_agent_talks_through_a_server_without_a_key(
    provider: FakeProvider, tmp_path: Path
) -> None:
    product = Product(tmp_path / "o", {"OPENAI_BASE_URL": provider.url})
    product.start()
    try:
        client = product.client()
        model = client.models.list()[0].handle
        assert model.startswith("openai/")
        agent = client.agents.create(model=model, memory_blocks=[])
        reply = client.agents.messages.create(agent.id, input="hello")
        assert reply.messages[0].content == "You said: hello"
        assert "openai answers: 2 models" in product.log_path.read_text()
    finally:
        product.stop()
