"""A request that offers another protocol is answered in HTTP/1.1, as if it had offered none."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.edge.test_connections import HEAD, Patient, Serving, rest_of, status_of

LAST = HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\nab"
OFFERS = {
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "tls": b"upgrade: TLS/1.0\r\nconnection: upgrade\r\n",
    "several": b"upgrade: h2c\r\nconnection: a\r\nconnection: upgrade\r\nupgrade: foo/2\r\n",
    "websocket": b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
}
LENGTH = b"content-length: 3\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    serving = Serving(Patient)
    yield serving
    serving.stop()


def bodies(answers: bytes) -> list[bytes]:
    """How long the server found each body to be."""
    return [one.partition(b"\r\n\r\n")[2] for one in answers.split(b"HTTP/1.1 200 OK")[1:]]


def send(connection: socket.socket, pieces: list[bytes]) -> None:
    """Send each piece in a segment of its own."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        connection.sendall(piece)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize(
    "pieces",
    [
        [LENGTH + b"abc" + LAST],
        [LENGTH, b"abc", LAST],
        [LENGTH, b"a", b"b", b"c" + LAST],
        [CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + LAST],
        [CHUNKED, b"1\r\na\r\n2", b"\r\nbc\r\n0\r\n", b"\r\n", LAST],
    ],
    ids=["one segment", "three segments", "bytes", "chunks in one segment", "chunks in some"],
)
def test_a_body_is_read_whole_though_its_request_offers_another_protocol(
    serving: Serving, offer: bytes, pieces: list[bytes]
) -> None:
    with closing(serving.connect()) as connection:
        send(connection, [HEAD + offer + pieces[0], *pieces[1:]])
        assert bodies(rest_of(connection)) == [b"3", b"2"]


def test_each_of_several_requests_in_one_segment_may_offer_another_protocol(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    one = HEAD + OFFERS["h2c"]
    with caplog.at_level(logging.WARNING), closing(serving.connect()) as connection:
        connection.sendall(one + LENGTH + b"abc" + one + b"\r\n" + one + LENGTH + b"abc" + LAST)
        assert bodies(rest_of(connection)) == [b"3", b"0", b"3", b"2"]
    assert caplog.records == []


def test_a_body_that_is_waited_for_is_asked_for_though_another_protocol_is_offered(
    serving: Serving,
) -> None:
    with closing(serving.connect()) as connection:
        connection.sendall(HEAD + OFFERS["h2c"] + b"expect: 100-continue\r\n" + LENGTH)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc" + LAST)
        assert bodies(rest_of(connection)) == [b"3", b"2"]


def test_the_client_decides_that_the_connection_ends_though_it_offers_another_protocol(
    serving: Serving,
) -> None:
    with closing(serving.connect()) as connection:
        connection.sendall(
            HEAD + b"upgrade: h2c\r\nconnection: upgrade, close\r\n" + LENGTH + b"abc"
        )
        answers = rest_of(connection)
    assert b"connection: close" in answers
    assert bodies(answers) == [b"3"]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_websocket_is_answered_as_a_plain_request(serving: Serving, version: bytes) -> None:
    with closing(serving.connect()) as connection:
        head = HEAD.replace(b"POST", b"GET").replace(b"1.1", version)
        connection.sendall(head + OFFERS["websocket"] + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"x: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
        (b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"transfer-encoding: gzip\r\n\r\nabc", 400),
        (CHUNKED + b"0\r\nx: " + b"a" * 200_000, 431),
    ],
    ids=["big head", "two lengths", "length and chunks", "other coding", "big trailer"],
)
def test_the_bounds_hold_for_a_request_that_offers_another_protocol(
    serving: Serving, behind: bytes, status: int
) -> None:
    with closing(serving.connect()) as connection:
        connection.sendall(HEAD + OFFERS["h2c"] + behind)
        assert status_of(rest_of(connection))[0] == status


@pytest.mark.parametrize(
    "said",
    [
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"],
        [b"PRI", b" * HTTP/2.0\r\n\r\n", b"SM\r\n", b"\r\n"],
        [b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ],
    ids=["HTTP/2 without asking", "in pieces", "a tunnel"],
)
def test_what_is_to_be_no_http_1_at_all_is_400(serving: Serving, said: list[bytes]) -> None:
    with closing(serving.connect()) as connection:
        send(connection, said)
        assert status_of(rest_of(connection))[0] == 400
