"""Providers as a worker knows them: read again when their mark changes, and only then."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from o.domain.llm import ModelRequest
from o.domain.providers import (
    MarkedProviders,
    ProviderRecord,
    environment_provider_id,
    secret_of,
)
from o.errors import ModelError, NotFound, ProviderFull
from o.llm.models import Models
from o.llm.providers.provider_rows import ProviderRows
from o.llm.providers.providers import Provider, Providers, ProviderSet
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.providers import ProviderSettings
from tests.support.hanging import HangingProvider
from tests.support.product import eventually

ORGANIZATION = "org-00000000-0000-4000-8000-000000000000"
GUARD = OutboundGuard()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """The rows of one organization, as a database would have them, and how often they were read."""

    def __init__(self, *records: ProviderRecord) -> None:
        self.now = MarkedProviders("first", list(records))
        self.read = 0

    def change(self, mark: str, *records: ProviderRecord) -> None:
        self.now = MarkedProviders(mark, list(records))

    async def __call__(self, organization_id: str) -> MarkedProviders:
        self.read += 1
        found = self.now if organization_id == ORGANIZATION else MarkedProviders("", [])
        await asyncio.sleep(0)
        return found


def record(name: str, **fields: Any) -> ProviderRecord:
    values: dict[str, Any] = {"id": f"provider-{name}", "provider_type": "openai"} | fields
    return ProviderRecord(
        organization_id=ORGANIZATION, name=name, created_at=NOW, updated_at=NOW, **values
    )


def source(rows: Rows, tmp_path: Path, **variables: Any) -> ProviderRows:
    return ProviderRows(ProviderSettings(**variables), Keyring(tmp_path), rows, GUARD)


async def test_rows_are_read_once_for_each_mark(tmp_path: Path) -> None:
    rows = Rows(record("a", base_url="http://127.0.0.1:1/v1"))
    known = source(rows, tmp_path)
    for _ in range(3):
        found = await known.providers_of(ORGANIZATION, "first")
        assert found.resolve("a/v/m")[0].base_url == "http://127.0.0.1:1/v1"
    assert rows.read == 1
    rows.change("second", record("a", base_url="http://127.0.0.1:2/v1"), record("b"))
    turns = [known.providers_of(ORGANIZATION, "second") for _ in range(50)]
    for found in await asyncio.gather(*turns):
        assert found.resolve("a/m")[0].base_url == "http://127.0.0.1:2/v1"
    assert rows.read == 2, "many turns that find the same change read it once"
    rows.change("first", record("b"))
    with pytest.raises(NotFound):
        (await known.providers_of(ORGANIZATION, "first")).resolve("a/m")
    await known.providers_of(ORGANIZATION)
    assert rows.read == 4, "who brings no mark wants to know"


async def test_another_organization_has_the_environments_providers_only(tmp_path: Path) -> None:
    rows = Rows(record("a"))
    known = source(rows, tmp_path, groq_api_key=SecretStr("k"))
    other = await known.providers_of("org-11111111-0000-4000-8000-000000000000", "")
    assert [provider.name for provider in other.all()] == ["groq"]
    assert [provider.name for provider in (await known.providers_of("")).all()] == ["groq"]
    mine = await known.providers_of(ORGANIZATION, "first")
    assert [provider.name for provider in mine.all()] == ["groq", "a"]


async def test_a_row_of_the_environment_changes_all_but_its_key(tmp_path: Path) -> None:
    of_groq = record("groq", provider_type="groq", origin="environment", base_url="http://x/v1")
    gone = record("xai", provider_type="xai", origin="environment", base_url="http://y/v1")
    known = source(Rows(of_groq, gone), tmp_path, groq_api_key=SecretStr("k"))
    (provider,) = (await known.providers_of(ORGANIZATION, "first")).all()
    assert (provider.name, provider.base_url) == ("groq", "http://x/v1")
    assert provider.api_key == SecretStr("k")
    assert provider.id == environment_provider_id(ORGANIZATION, "groq")


async def test_a_row_goes_before_the_environments_provider_of_its_name(tmp_path: Path) -> None:
    known = source(Rows(record("groq")), tmp_path, groq_api_key=SecretStr("k"))
    (provider,) = (await known.providers_of(ORGANIZATION, "first")).all()
    assert (provider.id, provider.api_key) == ("provider-groq", None)


async def test_keys_are_decrypted_and_one_that_cannot_be_is_told_when_it_is_used(
    tmp_path: Path,
) -> None:
    sealed = Keyring(tmp_path).encrypt("sk-a", of=secret_of("provider-a", "api_key"))
    lost = Keyring(tmp_path / "other").encrypt("sk-b", of=secret_of("provider-b", "api_key"))
    known = source(
        Rows(
            record("a", api_key=sealed),
            record("b", api_key=lost),
            record("moved", api_key=sealed),
            record("c", provider_type="bedrock"),
            record("d", provider_type="of the future"),
        ),
        tmp_path,
    )
    found = await known.providers_of(ORGANIZATION, "first")
    good = found.resolve("a/m")[0]
    assert good.api_key == SecretStr("sk-a")
    good.check_usable()
    for name in ("b", "moved", "c"):
        with pytest.raises(ModelError) as refused:
            await Models(known, timeout_s=5).complete(
                ModelRequest(
                    handle=f"{name}/m",
                    organization_id=ORGANIZATION,
                    providers_mark="first",
                    prompt=[],
                )
            )
        assert refused.value.status == 401
        assert not refused.value.retryable
    assert found.get("d") is None


async def test_old_handles_lead_to_what_they_mean(tmp_path: Path) -> None:
    known = source(Rows(record("openai")), tmp_path, default_model="openai/v/m")
    found = await known.providers_of(ORGANIZATION, "first")
    assert found.resolve("openai-proxy/v/x")[1] == "v/x"
    assert found.resolve("letta/auto")[1] == "v/m"
    with pytest.raises(NotFound):
        ProviderSet(found.all()).resolve("letta/auto")


async def test_providers_that_hang_leave_a_worker_room_for_what_is_no_call() -> None:
    """There may come more providers than a worker has counted slots for."""
    hanging = HangingProvider()
    hanging.start()
    names = ("a", "b", "c")

    class Source(Providers):
        def __init__(self) -> None:
            ProviderSet.__init__(
                self, [Provider(name, "openai", "openai", hanging.url) for name in names]
            )

    models = Models(Source(), timeout_s=60, calls_at_once=2, calls_in_all=4)

    def ask(name: str) -> asyncio.Task[Any]:
        request = ModelRequest(handle=f"{name}/m", prompt=[{"role": "user", "content": "hello"}])
        return asyncio.create_task(models.complete(request))

    calls = [ask(name) for name in ("a", "a", "b", "b")]
    try:
        await asyncio.to_thread(eventually, lambda: hanging.waiting == 4, what="four calls")
        for name in names:
            with pytest.raises(ProviderFull):
                await ask(name)
        calls.pop().cancel()
        await asyncio.to_thread(eventually, lambda: hanging.waiting == 3, what="one is gone")
        calls.append(ask("c"))
        await asyncio.to_thread(eventually, lambda: hanging.waiting == 4, what="another comes")
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await models.close()
        hanging.stop()


def test_a_worker_that_nobody_asks_for_it_does_not_load_litellm() -> None:
    code = "import server.worker.worker, api.app, sys; print('litellm' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
