"""The operator's own Temporal server: over TLS, with a certificate, with a key."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError

from o.errors import InvalidInput, Unavailable
from o.settings import Settings
from o.temporal.connection import connect, connect_or_explain
from tests.up.conftest import NewProduct

NAME = "temporal.example"


@dataclass(frozen=True)
class Files:
    ca: Path
    cert: Path
    key: Path


def _certificate(folder: Path) -> Files:
    """One that vouches for itself, for the server and for its client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = Files(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    for file in (files.ca, files.cert):
        file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return _certificate(tmp_path)


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
