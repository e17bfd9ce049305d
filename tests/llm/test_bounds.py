"""Answers without measure are refused: endless ones, long lines, packed ones, too many calls."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from o.errors import ModelError
from o.llm.bounds import MAX_CALLS, ReplyOutOfBounds, UnknownEncoding, unpacked
from o.llm.providers.catalogue import Catalogue
from o.llm.providers.providers import Providers
from o.llm.wires.server_sent_events import events_of
from o.settings.providers import ProviderSettings
from tests.llm.answering import Server, ask, choice, chunk

MB = 1024 * 1024
SAYS_HELLO = json.dumps(choice(content="hello")).encode()


@cache
def zeros_packed(megabytes: int) -> list[bytes]:
    """A text of zeros that takes a thousandth of its length."""
    pack = zlib.compressobj(1, wbits=31)
    start = [pack.compress(b'{"choices": [{"message": {"content": "')]
    return start + [pack.compress(b"0" * MB) for _ in range(megabytes)] + [pack.flush()]


def packed_as(encoding: str, data: bytes) -> bytes:
    """`data` in a content encoding."""
    if encoding == "deflate":
        return zlib.compress(data)
    return gzip.compress(data) if "gzip" in encoding else data


async def refusal_of(server: Server, *, streams: bool) -> ModelError:
    with pytest.raises(ModelError) as failure:
        await asyncio.wait_for(ask(server, [] if streams else None), 20)
    assert (failure.value.kind, failure.value.retryable) == ("llm_error", False)
    return failure.value


@pytest.mark.parametrize("streams", [False, True])
async def test_a_reply_without_end_is_refused(server: Server, streams: bool) -> None:
    server.forever = (b"data: " if streams else b'{"choices": [') * 10_000
    error = await refusal_of(server, streams=streams)
    assert "larger than 8 MB" in error.message


async def test_a_stream_that_says_too_much_in_small_pieces_is_refused(server: Server) -> None:
    server.forever = chunk(content="word " * 10_000).encode()
    assert "larger than 8 MB" in (await refusal_of(server, streams=True)).message


@pytest.mark.parametrize("streams", [False, True])
async def test_a_reply_is_measured_as_it_is_unpacked(server: Server, streams: bool) -> None:
    server.headers = {"content-encoding": "gzip"}
    server.says(*zeros_packed(300))
    assert sum(map(len, server.pieces)) < 2 * MB
    assert "larger than 8 MB" in (await refusal_of(server, streams=streams)).message


async def test_a_refusal_without_end_is_told_as_far_as_it_is_read(server: Server) -> None:
    server.status, server.forever = 400, b"no " * 10_000
    with pytest.raises(ModelError) as failure:
        await asyncio.wait_for(ask(server), 20)
    assert failure.value.kind == "llm_bad_request"
    assert failure.value.detail.startswith("no no")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip", "identity"])
async def test_a_packed_reply_is_read(server: Server, encoding: str) -> None:
    server.headers = {"content-encoding": encoding}
    server.says(packed_as(encoding, SAYS_HELLO))
    assert (await ask(server)).text == "hello"


@pytest.mark.parametrize(("encoding", "body"), [("br", SAYS_HELLO), ("gzip", SAYS_HELLO)])
async def test_a_reply_that_cannot_be_unpacked_is_refused(
    server: Server, encoding: str, body: bytes
) -> None:
    server.headers = {"content-encoding": encoding}
    server.says(body)
    assert "packed" in (await refusal_of(server, streams=False)).message


async def test_a_reply_that_is_nested_beyond_measure_is_refused(server: Server) -> None:
    deep = '{"a":' * 150 + "1" + "}" * 150
    server.says('{"choices": [], "extra": ' + deep + "}")
    assert "nested" in (await refusal_of(server, streams=False)).message
    server.says(f'data: {{"choices": [], "extra": {deep}}}\n\n')
    assert "nested" in (await refusal_of(server, streams=True)).message


def calls(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} | more
        for n in range(count)
    ]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("made", "what"),
    [
        (calls(10_000), "more than 128 tool calls"),
        (calls(1, function={"name": "f" * 2_500_000}), "a tool's name of more than 256"),
        (calls(1, id="i" * 2_500_000), "a tool call's id of more than"),
    ],
)
async def test_calls_that_temporal_cannot_carry_are_refused(
    server: Server, streams: bool, made: list[dict[str, Any]], what: str
) -> None:
    server.says(chunk("tool_calls", tool_calls=made) if streams else choice(tool_calls=made))
    assert what in (await refusal_of(server, streams=streams)).message


@pytest.mark.parametrize("streams", [False, True])
async def test_as_many_calls_as_may_be_are_taken(server: Server, streams: bool) -> None:
    made = calls(MAX_CALLS)
    server.says(chunk("tool_calls", tool_calls=made) if streams else choice(tool_calls=made))
    reply = await ask(server, [] if streams else None)
    assert [call.id for call in reply.tool_calls] == [call["id"] for call in made]


async def test_a_list_of_models_without_end_lists_nothing(server: Server) -> None:
    providers = Providers(
        ProviderSettings(openai_api_key=SecretStr("sk"), openai_base_url=server.url)
    )
    server.forever = b'{"data": [' + b'{"id": "x"},' * 10_000
    assert await asyncio.wait_for(Catalogue(providers).list_models(), 20) == []
    server.forever, server.headers = b"", {"content-encoding": "gzip"}
    server.says(gzip.compress(b'{"data": [{"id": "x"}]}'))
    assert [entry.handle for entry in await Catalogue(providers).list_models()] == ["openai/x"]


@settings(deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 700), st.sampled_from(["gzip", "deflate", ""]))
async def test_whatever_is_packed_comes_out_as_it_was(data: bytes, cut: int, encoding: str) -> None:
    packed = packed_as(encoding, data) + (gzip.compress(data) if encoding == "gzip" else b"")
    parts = [part async for part in unpacked(cut_up(packed, cut), encoding)]
    assert b"".join(parts) == data * (2 if encoding == "gzip" else 1)


async def cut_up(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def test_unpacking_stops_at_its_bound() -> None:
    packed = gzip.compress(bytes(3 * MB))
    with pytest.raises(ReplyOutOfBounds):
        await anext(larger_than(64 * 1024, unpacked(cut_up(packed, 999), "gzip", at_most=2 * MB)))
    with pytest.raises(UnknownEncoding):
        await anext(unpacked(cut_up(b"x", 1), "zstd"))


async def larger_than(size: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[int]:
    async for piece in pieces:
        if len(piece) > size:
            yield len(piece)


EVENTS = [
    (b"data: a\n\ndata: b\n\n", [[b"a"], [b"b"]]),
    (b"data: a\r\n\r\ndata:b\r\n\r\n", [[b"a"], [b"b"]]),
    (b"data: a\r\rdata: b\r\r", [[b"a"], [b"b"]]),
    (b"\xef\xbb\xbfdata: a\n\n", [[b"a"]]),
    (b": ping\n\n\n\ndata: a\nid: 7\nevent: x\ndata: b\n\n", [[b"a", b"b"]]),
    (b"data: a\n\ndata: cut off", [[b"a"], [b"cut off"]]),
    ("data: a\u2028b\x0bc\n\n".encode(), [["a\u2028b\x0bc".encode()]]),
    (b"data\n\n", [[b""]]),
]


@pytest.mark.parametrize(("stream", "events"), EVENTS)
@pytest.mark.parametrize("cut", [1, 2, 3, 5, 1000])
async def test_events_are_read_as_their_standard_says(
    stream: bytes, events: list[list[bytes]], cut: int
) -> None:
    assert [event.lines async for event in events_of(cut_up(stream, cut))] == events


@pytest.mark.parametrize("line", [b"data: " + b"x" * 1000, b"data: xxx\n"])
async def test_an_event_without_end_is_refused(line: bytes) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield line * 100

    with pytest.raises(ReplyOutOfBounds):
        async for _ in events_of(endless()):
            pass
