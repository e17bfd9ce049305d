"""The operator's own Temporal server: over TLS, with a certificate, with a key."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from o.errors import InvalidInput, Unavailable
from o.settings.all import Settings
from o.temporal.connection import connect, connect_or_explain
from tests.support.certificates import Files, self_signed
from tests.up.conftest import NewProduct

NAME = "temporal.example"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return self_signed(tmp_path, NAME)


@pytest.fixture
async def address(product: NewProduct, files: Files) -> AsyncIterator[str]:
    """A Temporal that takes TLS only, and clients with our certificate only."""
    host, _, port = product().start().state["temporal_address"].rpartition(":")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    context.load_cert_chain(files.cert, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def _settings(address: str, files: Files, **more: object) -> Settings:
    wanted: dict[str, Any] = {
        "temporal_address": address,
        "temporal_ca_file": files.ca,
        "temporal_server_name": NAME,
        "temporal_cert_file": files.cert,
        "temporal_key_file": files.key,
        **more,
    }
    return Settings(**wanted)


async def test_a_server_that_wants_tls_and_a_certificate_is_reached(
    address: str, files: Files
) -> None:
    client = await connect_or_explain(_settings(address, files, temporal_api_key=SecretStr("k")))
    assert client.service_client.config.api_key == "k"


@pytest.mark.parametrize(
    ("missing", "tls"),
    [
        ({"temporal_cert_file": None, "temporal_key_file": None}, "on"),
        ({"temporal_server_name": None}, "on"),
        ({"temporal_tls": False}, "off"),
    ],
)
async def test_a_server_that_does_not_let_us_in_is_named(
    address: str, files: Files, missing: dict[str, object], tls: str
) -> None:
    with pytest.raises(Unavailable, match=f"{address}.*TLS is {tls}"):
        await connect_or_explain(_settings(address, files, **missing))


async def test_files_that_are_not_there_are_named(tmp_path: Path, files: Files) -> None:
    settings = _settings("127.0.0.1:9", files, temporal_ca_file=tmp_path / "nowhere.pem")
    with pytest.raises(InvalidInput, match=r"O_TEMPORAL_CA_FILE: .*nowhere.pem: No such file"):
        await connect(settings, lazy=True)
    with pytest.raises(ValidationError, match="O_TEMPORAL_KEY_FILE"):
        _settings("127.0.0.1:9", files, temporal_key_file=None)


def test_the_names_that_temporals_own_tools_know_are_taken(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(files.ca))
    monkeypatch.setenv("TEMPORAL_API_KEY", "hush")
    settings = Settings()
    assert settings.temporal_ca_file == files.ca
    assert settings.speaks_tls_to_temporal
    assert "hush" not in repr(settings)
