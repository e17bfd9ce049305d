"""What of requests and answers is shown: without keys and images, cut, and always as an object."""

import json
from typing import Any

import pytest

from o.llm.redaction import MOST_CHARS, shown_request, shown_response
from o.llm.tracing import Exchange, received, sent, tracing

KEY = "a-secret-key-of-length"
IMAGE = "iVBORw0KGgo" * 400


def request_of(body: Any, *secrets: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    text = shown_request(Exchange(raw, len(raw)), set(secrets))
    assert len(text) <= MOST_CHARS
    return json.loads(text)


async def answer_of(*pieces: str | bytes, status: int = 200) -> Any:
    async def body() -> Any:
        for piece in pieces:
            yield piece if isinstance(piece, bytes) else piece.encode()

    with tracing() as trace:
        sent(b"{}")
        async for _ in received(status, body()):
            pass
    text = shown_response(trace.exchanges[0], {KEY})
    assert len(text) <= MOST_CHARS
    return json.loads(text)


def test_a_request_is_shown_as_it_was_sent() -> None:
    body = {"model": "x", "messages": [{"role": "user", "content": "two\nwords, ü"}], "n": 1.5}
    assert request_of(body) == body


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "i/p", "data": IMAGE}},
        {"inline_data": {"mime_type": "image/png", "data": IMAGE}},
        {"text": f"see data:;base64,{IMAGE} and data:text/plain;charset=utf-8;base64,{IMAGE}"},
    ],
)
def test_images_are_left_out(part: dict[str, Any]) -> None:
    shown = json.dumps(request_of({"content": [part]}))
    assert IMAGE[:40] not in shown
    assert "[left out]" in shown
    broken = request_of(json.dumps({"content": [part]}).encode()[:-9])
    assert IMAGE[:40] not in broken["text"]


def test_keys_are_left_out_wherever_they_stand() -> None:
    body = {
        "api_key": "anything",
        "metadata": {"Authorization": "Bearer x"},
        "messages": [
            {"content": f"{KEY} and Bearer abcdefghijklmnopqrst, sk-abcdefghijklmnopqrstuvwx"}
        ],
        "tools": [{"parameters": {"properties": {"api_key": {"type": "string"}}}}],
    }
    shown = request_of(body, KEY)
    assert shown == {
        "api_key": "[key]",
        "metadata": {"Authorization": "[key]"},
        "messages": [{"content": "[key] and Bearer [key], [key]"}],
        "tools": body["tools"],
    }


def test_a_short_key_spoils_no_words() -> None:
    assert request_of({"content": "xylophone"}, "x", "") == {"content": "xylophone"}


def test_a_long_text_is_cut_in_its_middle_and_the_rest_stays() -> None:
    body = {"messages": [{"content": "A" + "b " * 400_000 + "C"}, {"content": "short"}]}
    long, short = request_of(body)["messages"]
    assert short == {"content": "short"}
    assert long["content"].startswith("Ab b")
    assert long["content"].endswith(" C")
    assert "783618 characters left out" in long["content"]


def test_what_is_long_in_many_parts_is_cut_as_a_whole() -> None:
    shown = request_of({"messages": [{"content": f'"quoted" {n}'} for n in range(50_000)]})
    assert set(shown) == {"left_out", "beginning", "end"}
    assert shown["beginning"].startswith('{"messages"')


@pytest.mark.parametrize(
    "raw", [b"", b"[1]", b"\xff\x00", b"[" * 100_000, b'{"a":' * 3_000 + b"1" + b"}" * 3_000]
)
def test_any_body_makes_an_object(raw: bytes) -> None:
    assert isinstance(request_of(raw), dict)


def test_text_that_postgres_or_utf8_refuse_is_replaced() -> None:
    assert request_of(b'{"a": "\\u0000\\ud800", "n": NaN}') == {"a": "\ufffd\ufffd", "n": None}


async def test_answers_of_every_kind_are_shown() -> None:
    assert await answer_of('{"choices"', ": []}") == {"choices": []}
    assert await answer_of('{"error": "no"}', status=400) == {
        "status": 400,
        "body": {"error": "no"},
    }
    assert await answer_of("<html>", status=502) == {"status": 502, "text": "<html>"}
    assert await answer_of("", status=500) == {"status": 500, "text": ""}
    stream = 'data: {"a": 1}\n\n: ping\n\nevent: x\ndata: {"b": 2}\n\ndata: [DONE]\n\n'
    assert await answer_of(stream) == {
        "status": 200,
        "stream": [{"a": 1}, {"b": 2}, "[DONE]"],
    }
    assert await answer_of('{"a": 1}\n{"b": 2}\n') == {
        "status": 200,
        "stream": [{"a": 1}, {"b": 2}],
    }
    assert await answer_of(f'{{"error": "bad key {KEY}"}}') == {"error": "bad key [key]"}
    assert json.loads(shown_response(Exchange(b"{}", 2), set())) == {}


async def test_a_long_stream_keeps_its_beginning_and_its_end() -> None:
    events = [f'data: {{"n": {n}, "text": "{"x" * 100}"}}\n\n' for n in range(10_000)]
    shown = await answer_of(*events)
    assert shown["stream"][0]["n"] == 0
    assert shown["stream"][-1]["n"] == 9_999
    assert any("bytes left out" in str(event) for event in shown["stream"])
