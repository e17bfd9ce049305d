"""What real servers send, byte by byte as it was reported of them, and what comes of it."""

import asyncio
import json
from typing import Any

import pytest

from o.domain.llm import ModelReply, ReplyDelta
from o.errors import ModelError
from tests.llm.answering import ARGUMENTS, Server, ask, choice, chunk

TEXT = json.dumps(ARGUMENTS)
DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def event(body: Any) -> str:
    return f"data: {json.dumps(body)}\n\n"


def in_choice(**more: Any) -> str:
    """A chunk whose only choice is this, whether it has a delta or not."""
    return event({"choices": [{"index": 0} | more]})


async def told(server: Server) -> tuple[ModelReply, str]:
    """The reply, and the text that followers of the stream have seen of it."""
    deltas: list[ReplyDelta] = []
    reply = await ask(server, deltas)
    return reply, "".join(delta.text for delta in deltas if delta.kind == "text")


HELLO = {
    "Azure: filters before and after, a choice without a delta": [
        event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        chunk(content="hel"),
        in_choice(finish_reason=None, content_filter_offsets={"start_offset": 44}),
        chunk("stop", content="lo"),
        in_choice(finish_reason=None, content_filter_results={}),
        DONE,
    ],
    "OpenRouter: comments first": [
        ": OPENROUTER PROCESSING\n\n" * 3,
        chunk("stop", content="hello"),
    ],
    "DeepSeek: keep-alives between": [
        ": keep-alive\n\n",
        chunk(content="hel"),
        ": keep-alive\n\n",
        chunk("stop", content="lo"),
        DONE,
    ],
    "llama.cpp: a first chunk of nulls, [DONE] at the very end": [
        chunk(role="assistant", content=None),
        chunk(content="hello"),
        chunk("stop"),
        "data: [DONE]",
    ],
    "older llama.cpp: events that are empty": ["data: \n\n", chunk("stop", content="hello")],
    "SGLang: a role of null until it has thought": [
        chunk(role=None, content=None, reasoning_content=None),
        chunk("stop", role=None, content="hello", tool_calls=None),
    ],
    "Ollama, SGLang: an empty reason in each chunk": [
        chunk("", content="hel"),
        chunk("", content="lo"),
        chunk("stop"),
        DONE,
    ],
    "DashScope: the word null for a reason": [
        chunk("null", content="hel"),
        chunk("null", content="lo"),
        chunk("stop"),
    ],
    "SGLang: two chunks with a reason": [
        chunk("stop", content="hello"),
        chunk("stop", content=""),
        DONE,
    ],
    "Gemini's OpenAI face: no reason at all": [chunk(content="hello"), DONE],
    "a gateway that names its events": [
        "event: ping\ndata: still here\n\n",
        "event: message\n" + chunk("stop", content="hello"),
    ],
    "a gateway that begins with a pause for reconnecting": [
        "retry: 3000\nid: 1\n",
        chunk("stop", content="hello"),
    ],
    "Mistral: an object for usage in each chunk": [
        event({"choices": [{"delta": {"content": "hello"}, "finish_reason": None}], "usage": {}}),
        chunk("stop"),
    ],
    "a server that says message for delta": [
        in_choice(message={"content": "hel"}, finish_reason=None),
        in_choice(message={"content": "lo"}, finish_reason="stop"),
    ],
    "a server that says all of it each time": [
        in_choice(message={"content": "hel"}, finish_reason=None),
        in_choice(message={"content": "hello"}, finish_reason="stop"),
    ],
    "Perplexity: all of it beside each piece": [
        in_choice(delta={"content": "hel"}, message={"content": "hel"}),
        in_choice(delta={"content": "lo"}, message={"content": "hello"}, finish_reason="stop"),
    ],
    "a server that ends with the whole message": [
        chunk(content="hel"),
        chunk(content="lo"),
        in_choice(message={"content": "hello"}, finish_reason="stop"),
    ],
    "OpenAI: a refusal in place of content": [
        chunk(content=None, refusal="hel"),
        chunk("stop", content=None, refusal="lo"),
    ],
    "Mistral: content in parts": [
        chunk(content=[{"type": "text", "text": "hello"}]),
        chunk("stop", content=""),
    ],
    "Mistral's kin: content in parts that are texts": [
        chunk(content=["hel", "lo"]),
        chunk("stop"),
    ],
    "a gateway that says done in words of its own": [
        chunk("stop", content="hello"),
        event("[DONE]"),
    ],
    "another one": [chunk(content="hello"), "data: done\n\n"],
    "a framework that frames what is framed": [
        chunk(content="hel").replace("data: ", "data: data: "),
        "data: data: " + chunk("stop", content="lo"),
        "data: data: [DONE]\n\n",
    ],
    "one that frames it for ever": ["data: " * 5_000 + chunk("stop", content="hello")],
    "a gateway that sends lines of JSON and no events": [
        chunk(content="hel").removeprefix("data: ").replace("\n\n", "\n"),
        chunk("stop", content="lo").removeprefix("data: "),
    ],
    "text-generation-webui of old: a text in place of a delta": [
        in_choice(text="hel", finish_reason=None),
        in_choice(text="lo", finish_reason="stop"),
    ],
    "a gateway that begins with null, and with nothing": [
        "data: null\n\ndata: {}\n\n",
        in_choice(),
        chunk("stop", content="hello"),
    ],
    "a proxy: a ping of Anthropic's": [
        'event: ping\ndata: {"type": "ping"}\n\n',
        chunk("stop", content="hello"),
    ],
    "[DONE] twice, and a comment behind it": [
        chunk("stop", content="hello"),
        DONE + DONE + ": bye\n\n",
    ],
    "choices that are numbered from 1": [
        event({"choices": [{"index": 1, "delta": {"content": "hel"}}]}),
        event({"choices": [{"index": 1, "delta": {"content": "lo"}, "finish_reason": "stop"}]}),
    ],
    "a gateway without spaces, with CRLF": [
        chunk("stop", content="hello").replace(": ", ":").replace("\n", "\r\n"),
        "data:[DONE]\r\n\r\n",
    ],
}


@pytest.mark.parametrize("pieces", HELLO.values(), ids=HELLO)
async def test_a_stream_is_understood(server: Server, pieces: list[str]) -> None:
    server.says(*pieces)
    reply, seen = await told(server)
    assert (reply.text, seen, reply.finish_reason) == ("hello", "hello", "stop")
    server.says("".join(pieces))
    assert (await ask(server)).text == "hello", "also where no stream was asked for"


TOKENS = {
    "at the end": [chunk("stop", content="hi"), event({"choices": [], "usage": USAGE})],
    "in the last choice, as Kimi does": [
        chunk(content="hi"),
        in_choice(delta={}, finish_reason="stop", usage=USAGE),
    ],
    "under a name of its own, as Groq does": [
        chunk(content="hi"),
        event({"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}}),
    ],
    "growing in each chunk, as vLLM does": [
        event(
            {
                "choices": [{"delta": {"content": "hi"}}],
                "usage": USAGE | {"completion_tokens": 1, "total_tokens": 12},
            }
        ),
        event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE}),
        event({"choices": [], "usage": None}),
    ],
    "as fractions": [
        chunk("stop", content="hi"),
        event({"choices": [], "usage": {name: float(n) for name, n in USAGE.items()}}),
    ],
    "as text": [
        chunk("stop", content="hi"),
        event({"choices": [], "usage": {name: str(n) for name, n in USAGE.items()}}),
    ],
}


@pytest.mark.parametrize("pieces", TOKENS.values(), ids=TOKENS)
async def test_tokens_are_found_wherever_they_are_told(server: Server, pieces: list[str]) -> None:
    server.says(*pieces, DONE)
    usage = (await ask(server, [])).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)


@pytest.mark.parametrize("count", [-1, 10**30, "many", [], True, 1.5])
async def test_a_number_of_tokens_that_is_none_spoils_nothing(server: Server, count: Any) -> None:
    server.says(choice(content="hi") | {"usage": {"prompt_tokens": count, "completion_tokens": 7}})
    usage = (await ask(server)).usage
    assert usage.completion_tokens == 7
    assert 0 <= usage.prompt_tokens <= 1


def call(index: int | None, id_: str | None, name: str | None, text: str | None) -> dict[str, Any]:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": text}}


CALLS = {
    "vLLM: the last words of the arguments with the reason": [
        chunk(tool_calls=[call(0, "a", "f", TEXT[:-1])]),
        chunk("tool_calls", tool_calls=[call(0, None, None, TEXT[-1:])]),
    ],
    "LM Studio: an empty name in every later piece": [
        chunk(tool_calls=[call(0, "a", "f", "")]),
        chunk(tool_calls=[call(0, "", "", TEXT[:4])]),
        chunk(tool_calls=[call(0, "", "", TEXT[4:])]),
        chunk("tool_calls"),
    ],
    "lmdeploy: ids that count, in every piece": [
        chunk(tool_calls=[call(0, "0", "f", "")]),
        chunk(tool_calls=[call(0, "0", None, TEXT)]),
        chunk("tool_calls"),
    ],
    "Gemini's OpenAI face: no index, an empty id, stop": [
        chunk(tool_calls=[{"id": "", "function": {"name": "f", "arguments": TEXT}}]),
        chunk("stop"),
    ],
    "a reason before the call": [chunk("stop"), chunk(tool_calls=[call(0, "a", "f", TEXT)])],
    "arguments as an object": [
        chunk("tool_calls", tool_calls=[call(0, "a", "f", None) | {"function": {"name": "f"}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ARGUMENTS}}]),
    ],
    "one call in place of a list": [chunk("tool_calls", tool_calls=call(0, "a", "f", TEXT))],
    "an index in words": [
        chunk("tool_calls", tool_calls=[call(0, "a", "f", TEXT) | {"index": "0"}])
    ],
    "an index that is none": [
        chunk("tool_calls", tool_calls=[call(0, "a", "f", TEXT) | {"index": ""}])
    ],
    "before there were several": [
        chunk(function_call={"name": "f", "arguments": ""}),
        chunk(function_call={"arguments": TEXT[:6]}),
        chunk("function_call", function_call={"arguments": TEXT[6:]}),
    ],
    "whole in the message that ends the stream": [
        chunk(content=None),
        in_choice(message={"tool_calls": [call(None, "a", "f", TEXT)]}, finish_reason="tool_calls"),
    ],
    "Anthropic behind gateways: an empty object before the arguments": [
        chunk(tool_calls=[call(0, "a", "f", "{}")]),
        chunk(tool_calls=[call(0, None, None, TEXT[:5])]),
        chunk("tool_calls", tool_calls=[call(0, None, None, TEXT[5:])]),
    ],
    "Bedrock behind gateways: an empty object first, id and name each time": [
        chunk(tool_calls=[call(0, "a", "f", "{}")]),
        chunk("tool_calls", tool_calls=[call(0, "a", "f", TEXT)]),
    ],
    "LiteLLM's proxy: in pieces, and all of it at the end": [
        chunk(tool_calls=[call(0, "a", "f", TEXT[:5])]),
        chunk(tool_calls=[call(0, "a", None, TEXT[5:])]),
        chunk("tool_calls", tool_calls=[call(0, "a", "f", TEXT)]),
    ],
    "LiteLLM's proxy: all of it at the end, packed once more": [
        chunk(tool_calls=[call(0, "a", "f", TEXT[:5])]),
        chunk(tool_calls=[call(0, "a", None, TEXT[5:])]),
        chunk("tool_calls", tool_calls=[call(0, "a", "f", json.dumps(TEXT))]),
    ],
    "older vLLM: all of it at the end, without id and name": [
        chunk(tool_calls=[call(0, "a", "f", TEXT[:5])]),
        chunk(tool_calls=[call(0, None, None, TEXT[5:])]),
        chunk("tool_calls", tool_calls=[call(0, None, None, json.dumps(ARGUMENTS, indent=1))]),
    ],
    "a gateway that says all of a call each time": [
        chunk(tool_calls=[call(0, "a", "f", TEXT[:5])]),
        chunk(tool_calls=[call(0, "a", "f", TEXT[:9])]),
        chunk("tool_calls", tool_calls=[call(0, "a", "f", TEXT)]),
    ],
    "Granite, Qwen: arguments packed into a text": [
        chunk(tool_calls=[call(0, "a", "f", json.dumps(TEXT)[:9])]),
        chunk("tool_calls", tool_calls=[call(0, None, None, json.dumps(TEXT)[9:])]),
    ],
    "small models: arguments in a fence": [
        chunk("tool_calls", tool_calls=[call(0, "a", "f", f"```json\n{TEXT}\n```")]),
    ],
    "Workers AI, Cohere: a call without a function around it": [
        chunk("tool_calls", tool_calls=[{"index": 0, "name": "f", "arguments": ARGUMENTS}]),
    ],
    "Llama: parameters for arguments": [
        chunk(
            "tool_calls",
            tool_calls=[{"id": "a", "function": {"name": "f", "parameters": ARGUMENTS}}],
        ),
    ],
    "Copilot: the call in a choice of its own": [
        event(
            {
                "choices": [
                    {"index": 0, "delta": {"content": "Hm."}, "finish_reason": "tool_calls"},
                    {"index": 1, "delta": {"tool_calls": [call(0, "a", "f", TEXT)]}},
                ]
            }
        ),
    ],
    "gpt-oss, Kimi: an id that is a number": [
        chunk("tool_calls", tool_calls=[call(0, None, "f", TEXT) | {"id": 7}]),
    ],
    "in pieces, and whole again": [
        chunk(tool_calls=[call(0, "a", "f", TEXT)]),
        in_choice(message={"tool_calls": [call(None, "a", "f", TEXT)]}, finish_reason="tool_calls"),
    ],
}


@pytest.mark.parametrize("pieces", CALLS.values(), ids=CALLS)
async def test_a_call_is_understood(server: Server, pieces: list[str]) -> None:
    server.says(*pieces, DONE)
    deltas: list[ReplyDelta] = []
    reply = await ask(server, deltas)
    (made,) = reply.tool_calls
    assert (made.name, json.loads(made.arguments)) == ("f", ARGUMENTS)
    seen = [delta for delta in deltas if delta.kind == "tool_call"]
    assert json.loads("".join(delta.text for delta in seen)) == ARGUMENTS
    assert [delta.name for delta in seen if delta.name] == ["f"]


@pytest.mark.parametrize("streams", [False, True])
async def test_calls_in_choices_of_their_own_are_calls_of_one_reply(
    server: Server, streams: bool
) -> None:
    """As Copilot tells what Claude says."""
    said = [
        {"content": "Hm."},
        {"tool_calls": [call(0, "a", "f", TEXT)]},
        {"tool_calls": [call(0, "b", "g", TEXT), call(1, "a", "f", TEXT)]},
    ]
    place = "delta" if streams else "message"
    choices = [{place: one, "finish_reason": "tool_calls"} for one in said]
    server.says(event({"choices": choices}) if streams else {"choices": choices})
    reply = await ask(server, [] if streams else None)
    assert reply.text == "Hm."
    assert [(one.id, one.name) for one in reply.tool_calls] == [("a", "f"), ("b", "g")]


WRITTEN = {
    "packed into a text": json.dumps(TEXT),
    "packed twice": json.dumps(json.dumps(TEXT)),
    "after an empty object": "{}" + TEXT,
    "twice": TEXT + TEXT,
    "in a fence": f"```json\n{TEXT}\n```",
    "in a fence with blanks": f"\n```\n \n{TEXT} \n\n```\n",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
async def test_arguments_that_mean_an_object_are_one(server: Server, written: str) -> None:
    server.says(choice(tool_calls=[call(0, "a", "f", written)]))
    (made,) = (await ask(server)).tool_calls
    assert json.loads(made.arguments) == ARGUMENTS


async def test_line_ends_within_texts_of_arguments_are_read(server: Server) -> None:
    server.says(choice(tool_calls=[call(0, "a", "f", '{"new_string": "a\nb\tc"}')]))
    (made,) = (await ask(server)).tool_calls
    assert json.loads(made.arguments) == {"new_string": "a\nb\tc"}


@pytest.mark.parametrize("written", ["{'a': 1}", '{"a": 1}{"a": 2}', "[1]", '"', "1", '{"a":'])
async def test_arguments_that_may_mean_anything_stay_as_they_were_written(
    server: Server, written: str
) -> None:
    for streams in (False, True):
        made = [call(0, "a", "f", written)]
        server.says(chunk("tool_calls", tool_calls=made) if streams else choice(tool_calls=made))
        (kept,) = (await ask(server, [] if streams else None)).tool_calls
        assert kept.arguments == written


async def test_a_fence_that_ends_in_nothing_but_blanks_is_read_at_once(server: Server) -> None:
    """Models that are held to JSON write blanks until they are stopped."""
    written = "```json" + "\n" * 20_000
    server.says(choice(tool_calls=[call(0, "a", "f", written)]))
    async with asyncio.timeout(10):
        (kept,) = (await ask(server)).tool_calls
    assert kept.arguments == written


async def test_a_nested_object_with_the_key_that_is_around_it_is_no_repetition(
    server: Server,
) -> None:
    pieces = ['{"a":', '{"a":', "{}", "}}"]
    server.says(*(chunk(tool_calls=[call(0, "x", "f" * (not n), p)]) for n, p in enumerate(pieces)))
    server.pieces.append(chunk("tool_calls").encode())
    (made,) = (await ask(server, [])).tool_calls
    assert json.loads(made.arguments) == {"a": {"a": {}}}


THOUGHTS = {
    "DeepSeek": {"reasoning_content": "hm"},
    "vLLM, Groq, Ollama": {"reasoning": "hm"},
    "OpenRouter, twice": {"reasoning": "hm", "reasoning_content": "hm"},
    "MiniMax, in parts": {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    "OpenRouter, as a summary": {"reasoning_details": [{"type": "x", "summary": "hm"}]},
    "Mistral, among the parts of the content": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    },
    "a gateway, as an object too": {"reasoning": {"effort": "low"}, "reasoning_content": "hm"},
}


@pytest.mark.parametrize("said", THOUGHTS.values(), ids=THOUGHTS)
@pytest.mark.parametrize("streams", [False, True])
async def test_thoughts_are_found_wherever_they_are_told(
    server: Server, said: dict[str, Any], streams: bool
) -> None:
    if streams:
        server.says(chunk(**said), chunk("stop", content="hello"), DONE)
    else:
        text = (
            [*said["content"], {"type": "text", "text": "hello"}] if "content" in said else "hello"
        )
        server.says(choice(**said | {"content": text}))
    reply = await ask(server, [] if streams else None)
    assert (reply.reasoning, reply.text) == ("hm", "hello")


TOO_LONG = "the request exceeds the available context size. try increasing the context size"
LONG = {"code": 400, "message": TOO_LONG, "type": "exceed_context_size_error"}
FAILURES: dict[str, tuple[list[str], str, bool]] = {
    "older llama.cpp: a field of its own": (
        [f"error: {json.dumps(LONG)}\n\n", DONE],
        "context_window_exceeded",
        False,
    ),
    "llama.cpp: an error in the data": (
        [event({"error": LONG}), DONE],
        "context_window_exceeded",
        False,
    ),
    "SGLang: an error within an error": (
        [event({"error": {"object": "error", "type": "BadRequestError", **LONG}}), DONE],
        "context_window_exceeded",
        False,
    ),
    "older vLLM: an error with nothing around it": (
        [event({"object": "error", "message": "busy", "type": "x", "code": 429})],
        "llm_rate_limit",
        True,
    ),
    "LM Studio: a named event": (
        ['event: error\ndata: {"message": "out of memory"}\n\n'],
        "llm_error",
        True,
    ),
    "a named event in plain words": (["event: error\ndata: Overloaded\n\n"], "llm_error", True),
    "OpenRouter: an error beside a choice": (
        [
            chunk(content="half"),
            event(
                {
                    "error": {"code": 502, "message": "Provider disconnected"},
                    "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
                }
            ),
        ],
        "llm_error",
        True,
    ),
    "OpenRouter: an error in the choice": (
        [in_choice(delta={}, finish_reason="error", error={"code": 429, "message": "slow"})],
        "llm_rate_limit",
        True,
    ),
    "a reason that says no more": (
        [chunk(content="half"), chunk("error"), DONE],
        "llm_error",
        True,
    ),
    "LiteLLM's proxy: a code in words": (
        [event({"error": {"message": "no", "type": "None", "param": "None", "code": "401"}})],
        "llm_authentication",
        False,
    ),
    "MiniMax: no money": (
        [event({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no balance"}})],
        "llm_insufficient_credits",
        False,
    ),
    "MiniMax: too fast": (
        [event({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}})],
        "llm_rate_limit",
        True,
    ),
    "a web framework's own words": (
        [event({"detail": "Internal Server Error"})],
        "llm_error",
        True,
    ),
    "a gateway's own words": ([event({"code": 429, "msg": "slow down"})], "llm_rate_limit", True),
    "DeepSeek: out of resources": (
        [chunk(content="half"), chunk("insufficient_system_resource"), DONE],
        "llm_error",
        True,
    ),
    "Z.ai: a model that failed": (
        [chunk(content="half"), chunk("network_error"), DONE],
        "llm_error",
        True,
    ),
    "SGLang, vLLM: a request that was given up": ([chunk("abort"), DONE], "llm_error", True),
    "Copilot, Groq: calls that do not come": ([chunk("tool_calls"), DONE], "llm_error", True),
    "Gemini: a call of a tool that it was not given": (
        [chunk("function_call_filter: UNEXPECTED_TOOL_CALL"), DONE],
        "llm_error",
        True,
    ),
    "a proxy that cuts the stream within an event": (
        [chunk(content="half"), 'data: {"choices": [{"delta": {"content": "wo'],
        "llm_error",
        True,
    ),
    "a gateway that fails in plain words": (
        [chunk(content="half"), "data: upstream error: too many requests\n\n"],
        "llm_rate_limit",
        True,
    ),
    "TGI: a kind beside the error": (
        [event({"error": "Request failed during generation", "error_type": "generation"})],
        "llm_error",
        True,
    ),
    "FastChat: a code of its own": (
        [event({"object": "error", "message": "NETWORK ERROR", "code": 50001})],
        "llm_error",
        True,
    ),
    "Cloudflare's gateway: errors in a list": (
        [event({"success": False, "errors": [{"code": 2009, "message": "Unauthorized"}]})],
        "llm_error",
        True,
    ),
    "one-api: its own words for a limit": (
        [event({"error": {"message": "limited", "type": "one_api_error", "code": "429"}})],
        "llm_rate_limit",
        True,
    ),
    "Gemini: a call that it could not read": (
        [chunk("function_call_filter: MALFORMED_FUNCTION_CALL"), DONE],
        "llm_error",
        True,
    ),
}


@pytest.mark.parametrize(("pieces", "kind", "retryable"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_of_its_kind_however_it_is_told(
    server: Server, pieces: list[str], kind: str, retryable: bool
) -> None:
    server.says(*pieces)
    with pytest.raises(ModelError) as failure:
        await ask(server, [])
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)


WHOLE: dict[str, tuple[Any, str, bool]] = {
    "Gemini's OpenAI face: in a list": (
        [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}],
        "llm_rate_limit",
        True,
    ),
    "MiniMax": ({"base_resp": {"status_code": 1004}}, "llm_authentication", False),
    "vLLM": (
        {"object": "error", "message": TOO_LONG, "code": 400},
        "context_window_exceeded",
        False,
    ),
    "a web framework": ({"detail": "Not Found"}, "llm_error", True),
    "OpenRouter": (
        {"choices": [{"error": {"code": 429}, "finish_reason": "error", "message": {}}]},
        "llm_rate_limit",
        True,
    ),
    "Gemini, which could not read a call": (
        {"choices": [{"message": {"content": ""}, "finish_reason": "malformed_function_call"}]},
        "llm_error",
        True,
    ),
    "calls that do not come": (
        {"choices": [{"message": {"content": None}, "finish_reason": "tool_calls"}]},
        "llm_error",
        True,
    ),
    "DeepSeek, out of resources": (
        {
            "choices": [
                {"message": {"content": "ha"}, "finish_reason": "insufficient_system_resource"}
            ]
        },
        "llm_error",
        True,
    ),
    "new-api": ({"success": False, "message": "no channel"}, "llm_error", True),
    "nothing at all": ("", "llm_error", True),
}


@pytest.mark.parametrize(("body", "kind", "retryable"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_failure_in_a_whole_answer_is_of_its_kind(
    server: Server, body: Any, kind: str, retryable: bool, streams: bool
) -> None:
    server.says(json.dumps(body) if body else "")
    with pytest.raises(ModelError) as failure:
        await ask(server, [] if streams else None)
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)


async def test_a_reason_given_when_thinking_has_ended_is_not_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o.llm.wires.streamed._AFTER_FINISH_S", 0.0)
    server.says(chunk("stop", reasoning_content="hm"), ": wait\n\n" * 20, chunk(content="hello"))
    reply, seen = await told(server)
    assert (reply.text, seen) == ("hello", "hello")


@pytest.mark.parametrize(
    "forever", [event({"choices": []}), ": ping\n\n", chunk(), event({"usage": USAGE})]
)
async def test_a_finished_reply_stands_whatever_follows_without_end(
    server: Server, forever: str
) -> None:
    server.says(chunk(content="hello"), chunk("stop"))
    server.forever, server.pause_s = forever.encode(), 0.05
    assert (await asyncio.wait_for(ask(server, [], timeout_s=30), 15)).text == "hello"


async def test_text_without_end_ends_with_the_time_of_the_call(server: Server) -> None:
    server.forever, server.pause_s = chunk(content="word ").encode(), 0.05
    deltas: list[ReplyDelta] = []
    with pytest.raises(ModelError) as failure:
        await ask(server, deltas, timeout_s=1)
    assert (failure.value.kind, failure.value.retryable) == ("llm_timeout", True)
    assert deltas, "what was written until then was told"


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_that_never_ends_ends_with_the_time_of_the_call(
    server: Server, streams: bool, status: int
) -> None:
    server.status, server.forever, server.pause_s = status, b"\n", 0.05
    with pytest.raises(ModelError) as failure:
        await ask(server, [] if streams else None, timeout_s=1)
    assert (failure.value.kind, failure.value.retryable) == ("llm_timeout", True)


async def test_an_answer_of_megabytes_in_one_line_is_read(server: Server) -> None:
    text = "word " * 600_000
    whole = chunk("stop", content=text).encode()
    server.says(*(whole[at : at + 50_000] for at in range(0, len(whole), 50_000)))
    reply, seen = await told(server)
    assert reply.text == seen == text
