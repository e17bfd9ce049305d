"""Replies of a guest that was taken over."""

import json
import tracemalloc
from typing import Any

import pytest

from sandbox.conversation import Guest, GuestEnded
from sandbox.frames import FrameRefused, Inside, parse, read_reply
from sandbox.protocol import Limits, SandboxUnavailable
from tests.sandbox.plain import job, nothing


class Told:
    """A line on which everything has been said already."""

    def __init__(self, data: bytes, at_once: int = 7) -> None:
        self._parts = [data[at : at + at_once] for at in range(0, len(data), at_once)]

    async def send(self, data: bytes) -> None:
        """Nobody listens."""

    async def receive(self) -> bytes:
        return self._parts.pop(0) if self._parts else b""


def frame(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b'{"result": NaN}',
        b'{"result": 1e999}',
        b'{"result": ' + b"9" * 20_000 + b"}",
        b'{"result": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"result": ' + b"[" * 300_000,
        b'{"result": [' + b"[]," * 1_000_000 + b"0]}",
        b'{"result": "' + b'\\"' * 500_000,
        b'{"stdout": 3}',
        b'{"stdout_bytes": "many"}',
        b'{"duration_ms": 1' + b"0" * 400 + b"}",
        b'{"block_edits": [{"label": "human", "value": "x"}]}',
        b'{"block_edits": ["x"]}',
    ],
)
def test_what_no_guest_says_is_refused(body: bytes) -> None:
    with pytest.raises(FrameRefused):
        read_reply(body, job(""))


def test_text_is_made_good_for_postgresql() -> None:
    assert parse(b'{"a\\u0000": ["\\ud800"]}') == {"a\ufffd": ["\ufffd"]}


def test_a_long_text_takes_no_more_than_some_times_its_size() -> None:
    body = json.dumps({"result": "one, two \\ three, " * 150_000}).encode()
    tracemalloc.start()
    try:
        read_reply(body, job(""))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * len(body)


@pytest.mark.parametrize("error", ["x", 3, {}, {"kind": "own"}, {"kind": ["raised"]}])
def test_an_error_of_no_known_kind_is_an_answer_that_cannot_be_read(error: Any) -> None:
    done = read_reply(json.dumps({"error": error}).encode(), job(""))
    assert done.failure is not None
    assert done.failure.kind == "frame"


def test_forged_errors_and_output_are_cut() -> None:
    told = {
        "kind": "raised",
        "type": "T" * 9_000,
        "message": "m" * 99_000,
        "traceback": "t" * 9_000,
    }
    reply = {"error": told, "stdout": "x" * 300_000, "stdout_bytes": 0}
    done = read_reply(json.dumps(reply).encode(), job(""))
    assert done.failure is not None
    assert len(done.failure.message) < 2_300
    assert len(done.failure.traceback) == 4_000
    assert len(done.stdout) == 64 * 1024


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\xff\xff\xff\xff{}", frame({}), frame(b"[")])
async def test_a_guest_that_does_not_say_hello_is_no_sandbox(said: bytes) -> None:
    with pytest.raises(SandboxUnavailable):
        await Guest(Told(said)).ready(1)


async def test_a_guest_that_ends_in_the_middle_of_its_reply_has_ended() -> None:
    with pytest.raises(GuestEnded):
        await Guest(Told(frame({"result": 1})[:-1])).call(job(""), Inside(), nothing)


async def test_a_reply_longer_than_a_sandbox_may_send_is_not_read() -> None:
    limits = Limits(result=1_000, output=1_000)
    done = await Guest(Told(frame({"result": "x" * 400_000}), 1 << 16)).call(
        job("", limits=limits), Inside(), nothing
    )
    assert done.failure is not None
    assert done.failure.kind == "frame"
