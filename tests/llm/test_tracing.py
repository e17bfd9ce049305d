"""What the wires tell of what they send and receive."""

import json

import pytest

from o.errors import ModelError
from o.llm.tracing import BoundedBytes, tracing
from tests.llm.answering import KEY, Server, ask, choice, chunk


@pytest.mark.parametrize("streams", [False, True])
async def test_a_trace_has_what_was_sent_and_received(server: Server, streams: bool) -> None:
    if streams:
        server.says(chunk(content="Hi"), chunk("stop"), "data: [DONE]\n\n")
    else:
        server.says(choice(content="Hi"))
    with tracing() as trace:
        await ask(server, [] if streams else None)
    [exchange] = trace.exchanges
    assert json.loads(exchange.request) == server.asked[0][1]
    assert exchange.status == 200
    assert b"".join(exchange.response.parts()).strip() == b"".join(server.pieces).strip()
    assert trace.secrets == {KEY}
    assert KEY.encode() not in exchange.request, "headers are not told"


async def test_a_trace_has_a_refusal(server: Server) -> None:
    server.status = 400
    server.says({"error": {"message": "no"}})
    with tracing() as trace, pytest.raises(ModelError):
        await ask(server)
    assert trace.exchanges[0].status == 400
    assert b"".join(trace.exchanges[0].response.parts()) == server.pieces[0]


async def test_a_request_without_an_answer_is_told(server: Server) -> None:
    server.url = "http://127.0.0.1:1/v1"
    with tracing() as trace, pytest.raises(ModelError):
        await ask(server)
    assert (trace.exchanges[0].status, trace.exchanges[0].response.length) == (None, 0)


async def test_nothing_is_kept_unless_it_is_wanted(server: Server) -> None:
    server.says(choice(content="Hi"))
    with tracing() as trace:
        pass
    await ask(server)
    assert trace.exchanges == []


def test_beginning_and_end_of_what_is_long_are_kept() -> None:
    kept = BoundedBytes(100)
    for n in range(100):
        kept.add(b"%03d," % n)
    head, tail = kept.parts()
    assert not kept.is_whole
    assert kept.length == 400
    assert head == b"".join(b"%03d," % n for n in range(19))[:75]
    assert tail.endswith(b"098,099,")
    assert 25 <= len(tail) <= 50
