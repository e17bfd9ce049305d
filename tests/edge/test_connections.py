"""Connections are bounded in what they hold and how long they take, before any route is asked."""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.edge.connection import BoundedConnection
from api.edge.descriptors import Descriptors

HEAD = b"POST /read HTTP/1.1\r\nhost: localhost\r\n"
SHORT_S = 0.3


class Hasty(BoundedConnection):
    """The same with little patience."""

    head_s = SHORT_S
    body_s = SHORT_S
    body_bytes_per_s = 10
    linger_s = 5.0


class Patient(BoundedConnection):
    """The same, for tests of sizes."""

    linger_s = 5.0


class Serving:
    """An application that reads bodies, behind one kind of connection."""

    def __init__(self, connection: type[BoundedConnection], *, keep_alive_s: int = 60) -> None:
        self.reached: list[str] = []
        self.gone = threading.Event()
        routes = [
            Route("/read", self._read, methods=["POST"]),
            Route("/stream", self._stream),
            Route("/deny", self._deny, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host="127.0.0.1",
            port=0,
            http=connection,
            ws="none",
            loop="uvloop",
            log_config=None,
            timeout_keep_alive=keep_alive_s,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(30)
        return connection

    async def _read(self, request: Request) -> Response:
        self.reached.append(request.url.path)
        try:
            return PlainTextResponse(str(len(await request.body())))
        except Exception:
            self.gone.set()
            raise

    async def _deny(self, request: Request) -> Response:
        return PlainTextResponse("no", status_code=401)

    async def _stream(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(10):
                await asyncio.sleep(SHORT_S / 4)
                yield b"x"

        return StreamingResponse(pieces())


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    serving = Serving(Patient)
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Serving]:
    serving = Serving(Hasty)
    yield serving
    serving.stop()


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    while piece := connection.recv(65_536):
        found += piece
    return found


def status_of(answer: bytes) -> tuple[int, str]:
    """The status of an answer, and what its body says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return int(head.split(b" ")[1]), json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (HEAD, b"x-%d: " + b"a" * 1_000 + b"\r\n"),
        (HEAD + b"x-one: ", b"a" * 60_000),
        (HEAD, b"a" * 60_000),
        (b"GET /", b"a" * 60_000),
        (b"", b"A" * 60_000),
    ],
    ids=["many headers", "one header", "one name", "the address", "the method"],
)
def test_a_head_without_end_is_431_while_it_is_small(
    serving: Serving, begun: bytes, piece: bytes
) -> None:
    before = len(serving.reached)
    with closing(serving.connect()) as connection:
        connection.sendall(begun)
        for n in range(200):
            connection.sendall(piece.replace(b"%d", b"%d" % n))
            connection.setblocking(False)
            try:
                answer = connection.recv(65_536)
            except BlockingIOError:
                answer = b""
            finally:
                connection.setblocking(True)
            if answer:
                break
        else:
            answer = rest_of(connection)
        status, _ = status_of(answer)
    assert status == (400 if begun == b"" else 431)
    assert len(serving.reached) == before


def test_a_head_just_below_the_bound_is_taken_and_one_above_is_not(serving: Serving) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{serving.port}") as http:
        taken = http.post("/read", headers={"x-big": "a" * 65_000})
        refused = http.post("/read", headers={"x-big": "a" * 66_000})
    assert taken.status_code == 200
    assert refused.status_code == 431
    assert "larger than 65536 bytes" in refused.json()["detail"]


@pytest.mark.parametrize(
    "behind",
    [
        b"0\r\nx-trailer: " + b"a" * 200_000,
        b"0\r\n" + b"x: y\r\n" * 40_000,
        b"1;x=" + b"a" * 200_000,
    ],
    ids=["one trailer", "many trailers", "extension of a chunk"],
)
def test_what_a_body_has_beside_itself_is_bounded_too(serving: Serving, behind: bytes) -> None:
    with closing(serving.connect()) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n" + behind)
        assert status_of(rest_of(connection))[0] == 431


def test_a_body_in_small_chunks_is_read_whole(serving: Serving) -> None:
    with closing(serving.connect()) as connection:
        chunks = b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n"
        connection.sendall(
            HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
        )
        assert rest_of(connection).endswith(b"\r\n\r\n100000")


def test_two_requests_in_one_piece_are_both_answered(serving: Serving) -> None:
    one = HEAD + b"content-length: 3\r\n\r\nabc"
    last = HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\nab"
    with closing(serving.connect()) as connection:
        connection.sendall(one + last)
        answers = rest_of(connection)
    assert answers.count(b"200 OK") == 2


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_400_in_json(serving: Serving, garbage: bytes) -> None:
    with closing(serving.connect()) as connection:
        connection.sendall(garbage)
        assert status_of(rest_of(connection)) == (400, "Invalid HTTP request received.")


@pytest.mark.parametrize("begun", [b"P", HEAD, HEAD + b"x-half: ", b"\r\n"])
def test_a_head_that_does_not_come_to_its_end_is_408(hasty: Serving, begun: bytes) -> None:
    with closing(hasty.connect()) as connection:
        connection.sendall(begun)
        assert status_of(rest_of(connection))[0] == 408


@pytest.mark.parametrize("length", [b"content-length: 100", b"transfer-encoding: chunked"])
def test_a_body_that_does_not_come_to_its_end_is_408_and_leaves_nobody_waiting(
    hasty: Serving, length: bytes
) -> None:
    hasty.gone.clear()
    with closing(hasty.connect()) as connection:
        connection.sendall(HEAD + length + b"\r\n\r\n1\r\n")
        assert status_of(rest_of(connection))[0] == 408
    assert hasty.gone.wait(30)


def test_a_body_that_nobody_reads_any_more_ends_soon_however_big_it_was(hasty: Serving) -> None:
    with closing(hasty.connect()) as connection:
        connection.sendall(HEAD.replace(b"/read", b"/deny") + b"content-length: 9000000\r\n\r\n")
        connection.sendall(b"a" * 1_000_000)
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"HTTP/1.1 408" in answer


def test_who_sends_a_whole_body_and_wants_the_connection_closed_reads_why_it_was_refused(
    serving: Serving,
) -> None:
    """As Python's urllib does."""
    head = HEAD.replace(b"/read", b"/deny") + b"connection: close\r\n"
    with closing(serving.connect()) as connection:
        connection.sendall(head + b"content-length: 30000000\r\n\r\n")
        for _ in range(30):
            connection.sendall(b"a" * 1_000_000)
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert answer.endswith(b"no")


def test_a_body_that_comes_steadily_has_all_the_time_it_needs(hasty: Serving) -> None:
    pause = threading.Event()
    with closing(hasty.connect()) as connection:
        connection.sendall(HEAD + b"connection: close\r\ncontent-length: 40\r\n\r\n")
        for _ in range(8):  # longer than `body_s`, at more than `body_bytes_per_s`
            connection.sendall(b"a" * 5)
            pause.wait(SHORT_S / 4)
        assert rest_of(connection).endswith(b"\r\n\r\n40")


def test_an_answer_may_take_longer_than_a_request(hasty: Serving) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{hasty.port}") as http:
        assert http.get("/stream").text == "x" * 10


def test_a_connection_on_which_nothing_ever_comes_is_closed() -> None:
    serving = Serving(Patient, keep_alive_s=1)
    with closing(serving.connect()) as connection:
        assert rest_of(connection) == b""
    serving.stop()


def test_near_the_limit_of_descriptors_there_is_a_warning_and_at_it_a_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Crowded(Patient):
        descriptors = Descriptors(limit=1)

    serving = Serving(Crowded)
    with caplog.at_level(logging.WARNING), closing(serving.connect()) as connection:
        assert status_of(rest_of(connection))[0] == 503
    with closing(serving.connect()) as connection:
        assert status_of(rest_of(connection))[0] == 503
    serving.stop()
    warned = [record for record in caplog.records if "descriptors" in record.message]
    assert len(warned) == 1, "once a minute"


def test_with_some_descriptors_left_requests_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    watch = Descriptors(limit=300)
    with closing(socket.socket()) as low:
        assert watch.admit(low)
        assert caplog.records == []
        with closing(socket.socket(fileno=os.dup2(low.fileno(), 250))) as high:
            assert watch.admit(high)
        assert [record.message for record in caplog.records] == [
            "few file descriptors are left; raise the limit (ulimit -n)"
        ]
        with closing(socket.socket(fileno=os.dup2(low.fileno(), 270))) as highest:
            assert not watch.admit(highest)
