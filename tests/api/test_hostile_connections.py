"""What strangers send before they are asked for a token takes neither memory nor connections."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.product import Product
from tests.support.provider import FakeProvider

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def guarded(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product with a token."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_API_TOKEN": "open sesame",
        "O_WORKERS": "1",
    }
    folder: Path = tmp_path_factory.mktemp("guarded")
    product = Product(folder / "o", env)
    product.start()
    yield product
    product.stop()


def flood(product: Product, begun: bytes, megabytes: int) -> bytes:
    """Send so much behind `begun`, as far as the server takes it; what it answers."""
    with closing(socket.create_connection(("127.0.0.1", product.port))) as connection:
        connection.settimeout(30)
        answer = b""
        with suppress(OSError):
            connection.sendall(begun)
            for _ in range(megabytes):
                connection.sendall(b"a" * MEGABYTE)
        with suppress(OSError):
            while piece := connection.recv(65_536):
                answer += piece
        return answer


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET /v1/agents/ HTTP/1.1\r\nhost: localhost\r\nx-big: ", b"431"),
        (
            b"POST /v1/agents/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"content-length: 52428800\r\n\r\n",
            b"401",
        ),
    ],
    ids=["head", "body"],
)
def test_fifty_megabytes_from_a_stranger_take_no_memory(
    guarded: Product, begun: bytes, status: bytes
) -> None:
    api = psutil.Process(guarded.pid_of("api"))
    flood(guarded, begun, 50)  # what it takes once, it takes for good
    before = api.memory_info().rss
    answers = [flood(guarded, begun, 50) for _ in range(8)]
    assert api.memory_info().rss - before < 30 * MEGABYTE
    # A client that sends on may be reset before it reads; nobody gets anything else.
    assert {answer[9:12] for answer in answers} <= {status, b""}
    assert httpx.get(f"{guarded.url}/v1/health/").status_code == 200


def test_the_api_may_open_as_many_files_as_the_system_lets_it(guarded: Product) -> None:
    soft, hard = psutil.Process(guarded.pid_of("api")).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == min(hard, 65_536)
