"""What providers do that is not in the book, and that is understood all the same."""

import asyncio
import json
from typing import Any

import pytest

from o.domain.llm import ReplyDelta
from o.errors import ModelError
from tests.llm.answering import ARGUMENTS, Server, ask, choice, chunk

TEXT = json.dumps(ARGUMENTS)
DONE = "data: [DONE]\n\n"


def piece(**more: Any) -> dict[str, Any]:
    """A piece of a call: `name` and `arguments` are its function's."""
    function = {name: more.pop(name) for name in ("name", "arguments") if name in more}
    return more | ({"function": function} if function else {})


def written(deltas: list[ReplyDelta]) -> dict[int, tuple[str | None, str]]:
    """What followers of a stream know of each call: its name and its arguments."""
    known: dict[int, tuple[str | None, str]] = {}
    for delta in deltas:
        if delta.kind == "tool_call":
            name, text = known.get(delta.call, (None, ""))
            assert (name is None) == (delta.name is not None), "named once, and first"
            known[delta.call] = (name or delta.name, text + delta.text)
    return known


A, B = piece(id="a", name="f", arguments=TEXT), piece(id="b", name="g", arguments=TEXT)
HALVES = [
    piece(index=0, id="a", name="f", arguments=TEXT[:5]),
    piece(index=0, arguments=TEXT[5:]),
]
TWO = {
    "ids and one index": [A | {"index": 0}, B | {"index": 0}],
    "ids and no index": [A, B],
    "one id, two indices": [A | {"index": 0}, B | {"index": 1, "id": "a"}],
    "one id, no index": [A, B | {"id": "a"}],
    "no ids, one index": [A | {"index": 0, "id": None}, B | {"index": 0, "id": None}],
    "no ids, no index": [A | {"id": None}, B | {"id": ""}],
    "indices from 1": [A | {"index": 1}, B | {"index": 2}],
    "in halves, one index": [*HALVES, B | {"index": 0}],
    "in halves, id and name each time": [
        piece(index=0, id="a", name="f", arguments=TEXT[:5]),
        piece(index=0, id="a", name="f", arguments=TEXT[5:]),
        B | {"index": 1},
    ],
    "name after id": [
        piece(index=0, id="a"),
        piece(index=0, name="f"),
        piece(index=0, arguments=TEXT),
        piece(index=1, id="b"),
        piece(index=1, arguments=TEXT[:7]),
        piece(index=1, name="g", arguments=TEXT[7:]),
    ],
    "turn about": [
        piece(index=0, id="a", name="f", arguments=TEXT[:5]),
        piece(index=1, id="b", name="g", arguments=TEXT[:5]),
        piece(index=0, arguments=TEXT[5:]),
        piece(index=1, arguments=TEXT[5:]),
    ],
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("pieces", TWO.values(), ids=TWO)
async def test_two_calls_are_two_however_they_are_told_apart(
    server: Server, pieces: list[dict[str, Any]], together: bool
) -> None:
    sent = [pieces] if together else [[one] for one in pieces]
    server.says(*(chunk(tool_calls=each) for each in sent), chunk("tool_calls"), DONE)
    deltas: list[ReplyDelta] = []
    reply = await ask(server, deltas)
    made = [(call.name, call.arguments) for call in reply.tool_calls]
    assert made == [("f", TEXT), ("g", TEXT)]
    assert written(deltas) == dict(enumerate(made))


@pytest.mark.parametrize("arguments", [None, "", " ", "null", "[]", "{}", '""', '"{}"', [], {}])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_without_arguments_has_an_empty_object(
    server: Server, arguments: Any, streams: bool
) -> None:
    made = [piece(index=0, id="a", name="f", arguments=arguments)]
    server.says(chunk("tool_calls", tool_calls=made) if streams else choice(tool_calls=made))
    reply = await ask(server, [] if streams else None)
    assert reply.tool_calls[0].arguments == "{}"


async def test_a_stream_that_says_it_is_done_without_a_reason_has_ended(server: Server) -> None:
    server.says(chunk(content="hello"), DONE)
    reply = await ask(server, [])
    assert (reply.text, reply.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("ending", ["lingers", "breaks off"])
async def test_a_reply_that_is_finished_stands_however_the_stream_ends(
    server: Server, ending: str
) -> None:
    server.says(chunk(content="hello"), chunk("stop"))
    if ending == "lingers":
        server.lingers_s = 30
    else:
        server.headers = {"content-length": "100000"}
    assert (await asyncio.wait_for(ask(server, []), 15)).text == "hello"


@pytest.mark.parametrize("forever", [b": ping\n\n", b"\n", b" "])
async def test_signs_of_life_do_not_keep_a_call_alive_for_ever(
    server: Server, forever: bytes
) -> None:
    server.forever, server.pause_s = forever, 0.05
    with pytest.raises(ModelError) as failure:
        await ask(server, [], timeout_s=1)
    assert (failure.value.kind, failure.value.retryable) == ("llm_timeout", True)


async def test_a_whole_reply_to_a_streamed_request_is_read_and_told(server: Server) -> None:
    server.says(choice(content="hello", reasoning="hm", tool_calls=[A]))
    deltas: list[ReplyDelta] = []
    reply = await ask(server, deltas)
    assert (reply.text, reply.reasoning, len(reply.tool_calls)) == ("hello", "hm", 1)
    assert [(d.kind, d.text) for d in deltas] == [
        ("reasoning", "hm"),
        ("text", "hello"),
        ("tool_call", TEXT),
    ]


async def test_a_stream_to_a_request_for_a_whole_reply_is_read(server: Server) -> None:
    server.says("\n", chunk(content="hel"), chunk("stop", content="lo"), DONE)
    assert (await ask(server)).text == "hello"
    assert server.asked[-1][1]["stream"] is False


async def test_spaces_before_a_reply_are_signs_of_life(server: Server) -> None:
    server.says("\n\n", " ", choice(content="hello"), "\n")
    assert (await ask(server)).text == "hello"


async def test_events_without_blank_lines_between_them_are_events(server: Server) -> None:
    whole = chunk(content="hel") + chunk("stop", content="lo") + DONE
    server.says(whole.replace("\n\n", "\n"))
    assert (await ask(server, [])).text == "hello"


NULLS: list[dict[str, Any]] = [
    {"choices": [{"message": {"content": "hello", "tool_calls": None}}], "usage": None},
    {"choices": [None, {"message": {"content": "hello", "tool_calls": [None]}}]},
    {"choices": [{"message": {"content": "hello", "thinking_blocks": {}}}], "usage": {"x": []}},
    {"choices": [{"message": {"content": "hello"}, "delta": None}], "usage": "none"},
    {"choices": [{"message": {"content": "hello"}}], "usage": {"prompt_tokens": "many"}},
    {"choices": [{"message": {"content": "hello"}}], "error": None, "is_last": "no"},
]


@pytest.mark.parametrize("body", NULLS)
async def test_what_is_null_or_spoilt_beside_the_reply_is_taken_as_absent(
    server: Server, body: dict[str, Any]
) -> None:
    server.says(body)
    assert (await ask(server)).text == "hello"


async def test_chunks_of_nulls_are_taken_as_absent(server: Server) -> None:
    nothing = {"content": None, "tool_calls": None, "reasoning_content": None}
    server.says(
        'data: {"choices": null, "usage": null}\n\n',
        'data: {"choices": [{"delta": null}]}\n\n',
        chunk(**nothing),
        chunk(tool_calls=[{"index": 0, "function": None, "id": "a"}]),
        chunk("stop", tool_calls=[{"index": 0, "function": {"name": "f", "arguments": None}}]),
        DONE,
    )
    (call,) = (await ask(server, [])).tool_calls
    assert (call.id, call.name, call.arguments) == ("a", "f", "{}")


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        ({"message": "slow", "code": 429}, "llm_rate_limit", True),
        ({"message": "slow", "code": "429"}, "llm_rate_limit", True),
        ({"message": "slow", "type": "rate_limit_error"}, "llm_rate_limit", True),
        ({"message": "no", "code": 401}, "llm_authentication", False),
        ({"message": "no", "code": "invalid_api_key"}, "llm_authentication", False),
        ({"message": "pay", "code": 402}, "llm_insufficient_credits", False),
        ({"message": "pay", "type": "insufficient_quota"}, "llm_insufficient_credits", False),
        ({"message": "bad", "type": "invalid_request_error"}, "llm_bad_request", False),
        ({"message": "context length is 8", "code": 400}, "context_window_exceeded", False),
        ({"message": "long", "code": "context_length_exceeded"}, "context_window_exceeded", False),
        ({"message": "busy", "type": "overloaded_error"}, "llm_error", True),
        ({"message": "oh"}, "llm_error", True),
        ("oh", "llm_error", True),
        ({"message": "oh", "code": True}, "llm_error", True),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_an_error_inside_a_good_answer_is_of_the_kind_that_it_says(
    server: Server, error: Any, kind: str, retryable: bool, streams: bool
) -> None:
    body = {"error": error}
    server.says(*([chunk(content="half"), f"data: {json.dumps(body)}\n\n"] if streams else [body]))
    with pytest.raises(ModelError) as failure:
        await ask(server, [] if streams else None)
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)


@pytest.mark.parametrize("streams", [False, True])
async def test_half_a_surrogate_pair_nan_and_broken_utf_8_are_replaced(
    server: Server, streams: bool
) -> None:
    said = json.loads('"half \\ud83d pair"')
    whole = json.dumps(choice(content=said) | {"x": float("nan")}).encode()
    if streams:
        body = {"choices": [{"delta": {"content": said}, "finish_reason": "stop"}]}
        whole = f"data: {json.dumps(body)}\n\n".encode()
    server.says(whole)
    assert (
        await ask(server, [] if streams else None)
    ).text == "half \N{REPLACEMENT CHARACTER} pair"
    server.says(whole.replace(b"\\ud83d", b"\xff"))
    assert (
        await ask(server, [] if streams else None)
    ).text == "half \N{REPLACEMENT CHARACTER} pair"
