"""What a reply cost, in the spellings of many providers."""

import json
from typing import Any

import pytest

from o.domain.runs import Usage
from tests.llm.answering import Server, ask, choice, chunk

DONE = "data: [DONE]\n\n"


def used(prompt: int, completion: int, **more: Any) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=more.pop("total", prompt + completion),
        **more,
    )


SAID: dict[str, tuple[Any, Usage]] = {
    "nothing": (None, Usage()),
    "no object": ([], Usage()),
    "a text": ("17 tokens", Usage()),
    "as OpenAI": (
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
        used(2006, 300, cached_input_tokens=1920, reasoning_tokens=64),
    ),
    "details that are null or no object": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": None,
            "completion_tokens_details": [],
        },
        used(10, 5),
    ),
    "no total": ({"prompt_tokens": 10, "completion_tokens": 5}, used(10, 5)),
    "texts, fractions, nonsense": (
        {"prompt_tokens": "10", "completion_tokens": 5.0, "total_tokens": -1},
        used(10, 5),
    ),
    "one bad number among good ones": (
        {"prompt_tokens": 10, "completion_tokens": {"text": 5}, "total_tokens": 15},
        used(10, 5),
    ),
    "beyond all measure": ({"prompt_tokens": 10**30, "completion_tokens": 5}, used(0, 5)),
    "input and output (mlx-vlm, Responses)": (
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "input_tokens_details": {"cached_tokens": 80},
            "output_tokens_details": {"reasoning_tokens": 7},
        },
        used(100, 20, cached_input_tokens=80, reasoning_tokens=7),
    ),
    "as Anthropic, which counts the cache apart": (
        {
            "input_tokens": 3,
            "output_tokens": 20,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 200,
        },
        used(1203, 20, cached_input_tokens=1000, cache_write_tokens=200),
    ),
    "a gateway that counts the cache apart": (
        {
            "prompt_tokens": 3,
            "completion_tokens": 20,
            "total_tokens": 23,
            "prompt_tokens_details": {"cached_tokens": 1000},
        },
        used(1003, 20, cached_input_tokens=1000),
    ),
    "a cache that only the total holds": (
        {
            "prompt_tokens": 2000,
            "completion_tokens": 50,
            "total_tokens": 3050,
            "cache_read_input_tokens": 1000,
        },
        used(3000, 50, cached_input_tokens=1000),
    ),
    "as litellm, which counts the cache in": (
        {
            "prompt_tokens": 1203,
            "completion_tokens": 20,
            "total_tokens": 1223,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 200,
            "prompt_tokens_details": {"cached_tokens": 1000},
        },
        used(1203, 20, cached_input_tokens=1000, cache_write_tokens=200),
    ),
    "cache writes as OpenAI and OpenRouter tell them": (
        {
            "prompt_tokens": 500,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 300},
        },
        used(500, 20, cached_input_tokens=100, cache_write_tokens=300),
    ),
    "cache hits as DeepSeek": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
            "prompt_tokens_details": None,
        },
        used(100, 20, cached_input_tokens=64),
    ),
    "cache hits as Moonshot": (
        {"prompt_tokens": 2989, "completion_tokens": 20, "cached_tokens": 2989},
        used(2989, 20, cached_input_tokens=2989),
    ),
    "reasoning beside the completion (xAI)": (
        {
            "prompt_tokens": 20,
            "completion_tokens": 198,
            "total_tokens": 623,
            "completion_tokens_details": {"reasoning_tokens": 405},
        },
        used(20, 603, reasoning_tokens=405),
    ),
    "a little reasoning beside the completion": (
        {
            "prompt_tokens": 20,
            "completion_tokens": 198,
            "total_tokens": 223,
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
        used(20, 203, reasoning_tokens=5),
    ),
    "reasoning in the total alone (Gemini)": (
        {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
        used(20, 533),
    ),
    "reasoning and no completion": (
        {
            "prompt_tokens": 21,
            "completion_tokens": 0,
            "total_tokens": 81,
            "completion_tokens_details": {"reasoning_tokens": 60},
        },
        used(21, 60, reasoning_tokens=60),
    ),
    "a price (OpenRouter)": (
        {"prompt_tokens": 194, "completion_tokens": 2, "cost": 0.00014, "is_byok": False},
        used(194, 2, cost_nano=140_000),
    ),
    "a fee and what is paid behind it (OpenRouter with an own key)": (
        {
            "prompt_tokens": 194,
            "completion_tokens": 2,
            "cost": 0.00001,
            "is_byok": True,
            "cost_details": {"upstream_inference_cost": 0.0002},
        },
        used(194, 2, cost_nano=210_000),
    ),
    "prices in an object (Perplexity)": (
        {
            "prompt_tokens": 7,
            "completion_tokens": 149,
            "cost": {"input_tokens_cost": 0.0, "request_cost": 0.005, "total_cost": 0.00515},
        },
        used(7, 149, cost_nano=5_150_000),
    ),
    "ticks (xAI)": (
        {"prompt_tokens": 7, "completion_tokens": 9, "cost": None, "cost_in_usd_ticks": 127344000},
        used(7, 9, cost_nano=12_734_400),
    ),
    "a price that is none": (
        {"prompt_tokens": 7, "completion_tokens": 9, "cost": "free", "cost_in_usd_ticks": -1},
        used(7, 9),
    ),
}


@pytest.mark.parametrize(("said", "usage"), SAID.values(), ids=SAID)
async def test_usage_is_understood_however_it_is_spelled(
    server: Server, said: Any, usage: Usage
) -> None:
    server.says(choice(content="Hi") | {"usage": said})
    assert (await ask(server)).usage == usage
    end = {"choices": [], "usage": said}
    server.says(chunk("stop", content="Hi"), f"data: {json.dumps(end)}\n\n", DONE)
    assert (await ask(server, [])).usage == usage


def with_usage(usage: Any, finish_reason: str | None = None, **delta: Any) -> str:
    body = json.loads(chunk(finish_reason, **delta).removeprefix("data: ")) | {"usage": usage}
    return f"data: {json.dumps(body)}\n\n"


def counts(prompt: int | None, completion: int | None) -> dict[str, Any]:
    total = (prompt or 0) + (completion or 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


STREAMS = {
    "the sum so far in each chunk (Gemini, vLLM)": [
        with_usage(counts(10, 1), content="H"),
        with_usage(counts(10, 2), content="i"),
        with_usage(counts(10, 3), "stop"),
    ],
    "null but in the last chunk": [
        with_usage(None, content="Hi"),
        with_usage(counts(10, 3), "stop"),
    ],
    "zeros first": [with_usage(counts(0, 0), content="Hi"), with_usage(counts(10, 3), "stop")],
    "zeros last": [
        with_usage(counts(10, 3), content="Hi"),
        with_usage(counts(0, 0), "stop"),
    ],
    "the prompt first, the completion last": [
        with_usage(counts(10, None), content="Hi"),
        with_usage(counts(None, 3), "stop"),
    ],
    "told before the end": [with_usage(counts(10, 3), content="Hi"), chunk("stop")],
    "twice": [with_usage(counts(10, 3), "stop", content="Hi"), with_usage(counts(10, 3))],
    "in the choice (Moonshot)": [
        "data: "
        + json.dumps(
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": "Hi"},
                        "finish_reason": "stop",
                        "usage": counts(10, 3),
                    }
                ]
            }
        )
        + "\n\n",
    ],
    "beside it (Groq)": [
        chunk("stop", content="Hi"),
        "data: " + json.dumps({"choices": [], "x_groq": {"usage": counts(10, 3)}}) + "\n\n",
    ],
}


@pytest.mark.parametrize("chunks", STREAMS.values(), ids=STREAMS)
async def test_usage_is_found_wherever_it_stands_in_a_stream(
    server: Server, chunks: list[str]
) -> None:
    server.says(*chunks, DONE)
    reply = await ask(server, [])
    assert reply.text == "Hi"
    assert reply.usage == used(10, 3)
