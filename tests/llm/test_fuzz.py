"""Whatever bytes a provider answers with end in a reply that can be kept, or in a ModelError."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.step.begin import StepToTake
from activities.step.commit import message_of
from o.domain.llm import ModelReply, ReplyDelta
from o.errors import ModelError
from o.llm.models import Models
from o.llm.providers.providers import Provider, Providers
from o.llm.wires.openai import chunks_of
from o.llm.wires.streamed import streamed_reply
from o.settings.providers import ProviderSettings
from tests.llm.answering import KEY, REQUEST

LIMIT_S = 5.0
PROVIDER = Provider("openai", "openai", "openai", "http://127.0.0.1:9/v1")
STEP = cast(
    "StepToTake",
    SimpleNamespace(
        step_id="step-1",
        attempt=1,
        request=REQUEST,
        agent=SimpleNamespace(id="agent-1"),
        run=SimpleNamespace(id="run-1", organization_id="org-1", conversation_id="conv-1"),
    ),
)


@dataclass
class RawServer:
    """Answers each connection with the bytes that it is told, and hangs up."""

    pieces: list[bytes] = field(default_factory=list)
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()


class Bench:
    """A raw server and an event loop that outlive the examples of a test."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.raw = RawServer()
        self._server = runner.run(self._listen())
        port = self._server.sockets[0].getsockname()[1]
        self.models = Models(
            Providers(
                ProviderSettings(
                    openai_api_key=SecretStr(KEY), openai_base_url=f"http://127.0.0.1:{port}/v1"
                )
            ),
            timeout_s=LIMIT_S,
        )

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self.raw.answer, "127.0.0.1", 0)

    def close(self) -> None:
        self._runner.run(self.models.close())
        self._server.close()

    def ask(self, pieces: list[bytes], *, streams: bool) -> ModelReply | ModelError:
        """What comes of an answer; what is neither of the two is the test's failure."""
        self.raw.pieces = pieces
        return self._runner.run(asyncio.wait_for(self._ask(streams=streams), LIMIT_S + 5))

    async def _ask(self, *, streams: bool) -> ModelReply | ModelError:
        deltas: list[ReplyDelta] = []

        async def keep(delta: ReplyDelta) -> None:
            deltas.append(delta)

        try:
            reply = await self.models.complete(REQUEST, keep if streams else None)
        except ModelError as error:
            told = error.message + error.detail
            told.encode()
            assert "\0" not in told
            return error
        if streams:
            check_followed(reply, deltas)
        check_kept(reply)
        return reply


def check_followed(reply: ModelReply, deltas: list[ReplyDelta]) -> None:
    """Whoever followed the stream knows what is kept."""

    def told(kind: str) -> str:
        return "".join(delta.text for delta in deltas if delta.kind == kind)

    assert (told("text"), told("reasoning")) == (reply.text, reply.reasoning)
    assert [d.text for d in deltas if d.kind == "redacted"] == reply.redacted_reasoning
    for n, call in enumerate(reply.tool_calls):
        pieces = [d for d in deltas if d.kind == "tool_call" and d.call == n]
        assert [d.name for d in pieces if d.tool_call_id is not None] == [call.name] * bool(pieces)
        written = "".join(d.text for d in pieces)
        assert call.arguments == written or not pieces or written.strip() in ("", "null")


def check_kept(reply: ModelReply) -> None:
    """PostgreSQL takes the message: neither NUL nor half a surrogate pair nor NaN is in it."""
    stored = json.dumps(
        [message_of(STEP, reply).model_dump(mode="json"), reply.usage.model_dump(mode="json")],
        allow_nan=False,
    )
    assert "\\u0000" not in stored.replace("\\\\", "")
    json.dumps(json.loads(stored), ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(runner)
        yield bench
        bench.close()


WORDS = [
    *("choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments"),
    *("index", "id", "finish_reason", "usage", "prompt_tokens", "error", "code", "type", "text"),
    *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "signature"),
    *("extra_content", "google", "thought_signature", "function_call", "refusal", "data", "object"),
    *("base_resp", "status_code", "x_groq", "provider_specific_fields", "summary", "thinking"),
]
SAID = ["stop", "tool_calls", "", "null", "error", "[DONE]", "{}", '{"a": 1}', "\ud83d", "\0", "é"]
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(SAID)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=8,
)
text_pieces = st.none() | st.sampled_from(SAID) | st.text(max_size=8)
functions = st.fixed_dictionaries({}, optional={"name": text_pieces, "arguments": text_pieces})
calls = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | st.none(),
        "id": st.sampled_from(["a", "b", "", None]),
        "function": functions | any_json,
        "extra_content": any_json,
    },
)
details = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["thinking", "redacted_thinking", "reasoning.text"]),
        "index": st.integers(0, 1),
        **dict.fromkeys(("text", "thinking", "signature", "data"), text_pieces),
    },
)
said = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("content", "reasoning", "reasoning_content", "refusal"), text_pieces),
        "tool_calls": st.lists(calls, max_size=2) | any_json,
        "reasoning_details": st.lists(details, max_size=2) | any_json,
        "thinking_blocks": st.lists(details, max_size=2),
        "function_call": functions,
    },
)
reasons = st.sampled_from([None, "stop", "tool_calls", "", "null", "error", "malformed"])
choices = st.fixed_dictionaries(
    {}, optional={"delta": said, "message": said, "finish_reason": reasons, "error": any_json}
)
bodies = st.fixed_dictionaries(
    {}, optional={"choices": st.lists(choices, max_size=2) | any_json, "usage": any_json}
)


def json_of(body: Any) -> bytes:
    return json.dumps(body).encode()


line_ends = st.sampled_from([b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""])
events = st.one_of(
    st.builds(lambda body, end: b"data: " + json_of(body) + end, bodies, line_ends),
    st.builds(lambda body, end: b"data: " + json_of(body) + end, bodies | any_json, line_ends),
    st.sampled_from(
        [b": ping\n\n", b"data: [DONE]\n\n", b"event: error\n", b"error: {}\n\n", b"\n"]
    ),
    st.binary(max_size=20),
)
streams_of_events = st.lists(events, max_size=8).map(b"".join)
wholes = (bodies | any_json).map(json_of)


@st.composite
def mutated(draw: st.DrawFn, of: st.SearchStrategy[bytes]) -> bytes:
    """Bytes, a few of which were lost, doubled or replaced on the way."""
    whole = draw(of)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(whole)))
        until = min(len(whole), at + draw(st.integers(0, 9)))
        part = draw(st.sampled_from([b"", whole[at:until] * 2]) | st.binary(max_size=4))
        whole = whole[:at] + part + whole[until:]
    return whole


@st.composite
def cut(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    size = draw(st.integers(1, 60) | st.just(len(whole) + 1))
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def chunked(pieces: list[bytes]) -> list[bytes]:
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    return [*framed, b"0\r\n\r\n"]


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    """An answer in pieces, head and all, which need not agree with one another."""
    body = draw(mutated(streams_of_events) | mutated(wholes) | st.binary(max_size=300))
    encoding = draw(st.sampled_from(["", "", "", "gzip", "deflate", "br"]))
    if encoding == "gzip" and draw(st.booleans()):
        pack = zlib.compressobj(wbits=31)
        body = pack.compress(body) + pack.flush()
    status = draw(st.sampled_from([200, 200, 200, 200, 204, 400, 429, 500]))
    kind = draw(st.sampled_from(["text/event-stream", "application/json", "", "text/html"]))
    lines = [f"HTTP/1.1 {status} Something", f"content-type: {kind}"]
    lines += [f"content-encoding: {encoding}"] if encoding else []
    pieces = draw(cut(body))
    match draw(st.sampled_from(["close", "length", "too short", "too long", "chunked"])):
        case "length":
            lines.append(f"content-length: {len(body)}")
        case "too short":
            lines.append(f"content-length: {len(body) // 2}")
        case "too long":
            lines.append(f"content-length: {len(body) + 5}")
        case "chunked":
            lines.append("transfer-encoding: chunked")
            pieces = chunked(pieces)
    return [("\r\n".join(lines) + "\r\nconnection: close\r\n\r\n").encode(), *pieces]


patient = settings(deadline=None, suppress_health_check=list(HealthCheck))


@patient
@given(answers(), st.booleans())
def test_any_answer_is_a_reply_or_refused(bench: Bench, pieces: list[bytes], streams: bool) -> None:
    bench.ask(pieces, streams=streams)


@patient
@given(mutated(answers().map(b"".join)), st.booleans())
@example(b"", False)
@example(b"HTTP/1.1 200 OK\r\n", True)
@example(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", True)
@example(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nx", False)
@example(b"HTTP/1.1 99999 OK\r\n\r\nx", False)
@example(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\nx", False)
@example(b"HTTP/1.1 200 OK\r\ncontent-type: \xff;charset=\xff\r\n\r\n{}", False)
@example(b"\x15\x03\x01 not http", True)
def test_bytes_that_are_hardly_http_are_a_reply_or_refused(
    bench: Bench, raw: bytes, streams: bool
) -> None:
    bench.ask([raw], streams=streams)


likely = st.fixed_dictionaries(
    {"choices": st.lists(choices, min_size=1, max_size=1)}, optional={"usage": any_json}
)


async def put_together(raw: bytes, size: int) -> ModelReply | str:
    """What comes of a stream that is cut into pieces of a size."""
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(raw), size):
            yield raw[at : at + size]

    try:
        reply = await streamed_reply(chunks_of(PROVIDER, pieces()), keep)
    except ModelError as error:
        return error.message
    check_followed(reply, deltas)
    check_kept(reply)
    return reply


@settings(deadline=None)
@given(st.lists(likely, max_size=6), line_ends, st.integers(1, 50))
def test_a_stream_is_the_same_wherever_it_is_cut(chunks: list[Any], end: bytes, size: int) -> None:
    raw = b"".join(b"data: " + json_of(chunk) + end for chunk in chunks) + b"data: [DONE]\n\n"
    whole = asyncio.run(put_together(raw, len(raw)))
    assert asyncio.run(put_together(raw, size)) == whole
