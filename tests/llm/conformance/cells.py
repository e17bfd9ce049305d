"""The rows of the conformance table: what each asks of a wire, over HTTP."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from o.domain.llm import ModelReply, ModelRequest, ReplyDelta, ToolSpec
from o.errors import ModelError
from o.tools.writing import Wanted, read_written, writing_request
from tests.llm.conformance.bench import PNG, Bench, History
from tests.llm.fakes.provider import Call, Refusal, Say

Cell = Callable[[Bench], Coroutine[Any, Any, None]]

_WANTED = Wanted("say", "Says «ja».", faults=["it has no docstring"])

ROWS: dict[str, Cell] = {}
"""By the row's title, in the order of the table."""

TEXT = "Grüße, 世界 🎉 — done."
CALL = Call("memory_insert", {"label": "human", "new_string": "Adä, née 李"})
OTHER = Call("conversation_search", {"query": "née"})


def row(title: str) -> Callable[[Cell], Cell]:
    """Make a function a row of the table."""

    def add(cell: Cell) -> Cell:
        ROWS[title] = cell
        return cell

    return add


def told(deltas: list[ReplyDelta], kind: str) -> str:
    """What the pieces of one kind make."""
    return "".join(delta.text for delta in deltas if delta.kind == kind)


def calls_of(reply: ModelReply) -> list[tuple[str, Any]]:
    """What was called, with what."""
    return [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]


async def both(bench: Bench, each: Callable[[list[ReplyDelta] | None], Awaitable[None]]) -> None:
    """Do it for a whole reply, and again for a streamed one."""
    await each(None)
    bench.fake.replies = 0
    await each([])


@contextmanager
def refused(kind: str, *, retryable: bool) -> Iterator[None]:
    """What is done inside is a failure of a kind."""
    with pytest.raises(ModelError) as failure:
        yield
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)


@row("plain")
async def plain(bench: Bench) -> None:
    bench.fake.says = [Say(text=TEXT)]
    reply = await bench.ask(History().user("I am Ada, née 李"))
    assert (reply.text, reply.tool_calls, reply.finish_reason) == (TEXT, [], "stop")
    assert "née 李" in json.dumps(bench.fake.asked[0].body, ensure_ascii=False)


@row("stream")
async def stream(bench: Bench) -> None:
    bench.fake.says = [Say(text=TEXT)]
    deltas: list[ReplyDelta] = []
    reply = await bench.ask(History().user("I am Ada"), deltas)
    assert reply.text == told(deltas, "text") == TEXT
    assert len(deltas) > 1


@row("tool call")
async def tool_call(bench: Bench) -> None:
    async def call_and_go_on(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.says = [Say(text="Noting.", calls=(CALL,)), Say(text=TEXT)]
        history = History().user("I am Ada")
        reply = await bench.ask(history, deltas)
        assert calls_of(reply) == [(CALL.name, CALL.arguments)]
        if deltas is not None:
            assert json.loads(told(deltas, "tool_call")) == CALL.arguments
        history.returned("noted")
        assert (await bench.ask(history, deltas)).text == TEXT
        history.user("Thanks")
        assert (await bench.ask(history, deltas)).text == TEXT

    await both(bench, call_and_go_on)


@row("parallel calls")
async def parallel_calls(bench: Bench) -> None:
    async def call_both(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.says = [Say(calls=(CALL, OTHER)), Say(calls=(OTHER,)), Say(text=TEXT)]
        history = History().user("I am Ada")
        reply = await bench.ask(history, deltas)
        wanted = [(CALL.name, CALL.arguments), (OTHER.name, OTHER.arguments)]
        assert calls_of(reply) == wanted
        await bench.ask(history.returned("noted", "nothing found"), deltas)
        assert (await bench.ask(history.returned("nothing"), deltas)).text == TEXT

    await both(bench, call_both)


@row("forced call")
async def forced_call(bench: Bench) -> None:
    """What is asked outside of turns: to hand in a tool, and to answer by a schema."""
    source = {"source_code": 'def say() -> str:\n    """Sag «ja»."""\n    return "ja"\n'}
    bench.fake.says = [Say(calls=(Call("write_tool", source),))]
    request = writing_request(bench.handle, _WANTED, window=32_000)
    reply = await bench.models.complete(request)
    assert read_written(reply).source == source["source_code"]
    given = Call("give_answer", {"name": "Glåma"})
    bench.fake.says, bench.fake.replies = [Say(calls=(given,))], 0
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    tool = ToolSpec(name=given.name, description="Gives your answer.", parameters=schema)
    asked = [{"role": "user", "content": "Name a river."}]
    request = ModelRequest(
        handle=bench.handle,
        prompt=asked,
        tools=[tool],
        tool_choice="required",
        context_window=32_000,
    )
    assert calls_of(await bench.models.complete(request)) == [(given.name, given.arguments)]


@row("reasoning round trip")
async def reasoning(bench: Bench) -> None:
    async def think_and_go_on(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.says = [
            Say(reasoning="Hm, über Ada.", calls=(CALL, OTHER)),
            Say(reasoning="So, nun.", calls=(CALL,)),
            Say(reasoning="Ja.", text=TEXT),
        ]
        history = History().user("I am Ada")
        reply = await bench.ask(history, deltas)
        assert reply.reasoning == "Hm, über Ada."
        if deltas is not None:
            assert told(deltas, "reasoning") == "Hm, über Ada."
        await bench.ask(history.returned("noted", "nothing"), deltas)
        assert (await bench.ask(history.returned("noted"), deltas)).text == TEXT
        assert (await bench.ask(history.user("And?"), deltas)).text == TEXT

    await both(bench, think_and_go_on)


@row("images")
async def images(bench: Bench) -> None:
    await bench.ask(History().user("What is this?", image=True))
    assert PNG in json.dumps(bench.fake.asked[0].body)


@row("cache markers")
async def cache_markers(bench: Bench) -> None:
    bench.fake.says = [Say(calls=(CALL,)), Say(text=TEXT)]
    history = History().user("I am Ada")
    await bench.ask(history)
    await bench.ask(history.returned("noted"))
    await bench.ask(history.user("And?"))
    for asked, marks in zip(bench.fake.asked, (2, 3, 3), strict=True):
        sign = '"cachePoint"' if bench.name == "bedrock" else '"cache_control"'
        assert json.dumps(asked.body["system"]).count(sign) == 1
        assert json.dumps(asked.body).count(sign) == marks
        assert sign in json.dumps(asked.body["messages"][-1]), "the newest is kept for next time"


@row("usage")
async def usage(bench: Bench) -> None:
    async def count(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.says = [
            Say(text=TEXT, prompt_tokens=900, cached_tokens=300, completion_tokens=70)
        ]
        found = (await bench.ask(History().user("I am Ada"), deltas)).usage
        assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (900, 70, 970)
        if bench.name != "ollama":  # it tells of neither
            assert found.cached_input_tokens == 300
        if bench.name not in ("ollama", "anthropic", "bedrock"):
            bench.fake.says = [Say(text=TEXT, completion_tokens=70, reasoning_tokens=40)]
            found = (await bench.ask(History().user("I am Ada"), deltas)).usage
            assert (found.reasoning_tokens, found.completion_tokens) == (40, 70)

    await both(bench, count)


@row("error mapping")
async def error_mapping(bench: Bench) -> None:
    too_long = "This model's maximum context length is 8 tokens: the prompt is too long"
    for status, message, kind, retryable in (
        (400, "no such thing", "llm_bad_request", False),
        (400, too_long, "context_window_exceeded", False),
        (401, "who are you", "llm_authentication", False),
        (429, "slow down", "llm_rate_limit", True),
        (500, "oh", "llm_error", True),
        (503, "busy", "llm_error", True),
    ):

        async def fail(deltas: list[ReplyDelta] | None, status: int = status) -> None:
            bench.fake.asked.clear()
            with pytest.raises(ModelError) as failure:
                await bench.ask(History().user("I am Ada"), deltas)
            error = failure.value
            assert (error.kind, error.retryable) == (kind, retryable)  # noqa: B023
            assert error.retry_after_s == 7
            if status != 400:  # which is asked again otherwise
                assert len(bench.fake.asked) == 1, "nobody but Temporal asks again"

        bench.fake.refusal = Refusal(status, message)
        await both(bench, fail)


@row("error inside 200")
async def error_inside(bench: Bench) -> None:
    bench.fake.fault = "error inside"
    bench.fake.says = [Say(text=TEXT)]

    async def fail(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.refusal = Refusal(429, "slow down: rate limit")
        with refused("llm_rate_limit", retryable=True):
            await bench.ask(History().user("I am Ada"), deltas)

    await both(bench, fail)


@row("time-out")
async def time_out(bench: Bench) -> None:
    hurried = await bench.hurried()
    bench.fake.fault = "hangs"

    async def wait(deltas: list[ReplyDelta] | None) -> None:
        with refused("llm_timeout", retryable=True):
            await bench.ask(History().user("I am Ada"), deltas, models=hurried)

    bench.fake.asked.clear()
    await both(bench, wait)
    assert len(bench.fake.asked) == 2


@row("dropped connection")
async def dropped(bench: Bench) -> None:
    bench.fake.says = [Say(text=TEXT * 20, calls=(CALL,))]

    async def break_off(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.asked.clear()
        with refused("llm_error", retryable=True):
            await bench.ask(History().user("I am Ada"), deltas)
        assert len(bench.fake.asked) == 1, "nobody but Temporal asks again"

    bench.fake.fault = "drops"
    await both(bench, break_off)
    bench.fake.fault = "ends early"
    await break_off([])


@row("cut characters")
async def cut_characters(bench: Bench) -> None:
    bench.fake.fault = "cut characters"

    async def read(deltas: list[ReplyDelta] | None) -> None:
        bench.fake.says = [Say(text=TEXT, calls=(CALL,))]
        reply = await bench.ask(History().user("I am Ada"), deltas)
        assert (reply.text, calls_of(reply)) == (TEXT, [(CALL.name, CALL.arguments)])

    await both(bench, read)


@row("malformed reply")
async def malformed(bench: Bench) -> None:
    bench.fake.fault = "malformed"
    bench.fake.says = [Say(text=TEXT)]

    async def misread(deltas: list[ReplyDelta] | None) -> None:
        with pytest.raises(ModelError) as failure:
            await bench.ask(History().user("I am Ada"), deltas)
        assert failure.value.kind == "llm_error"

    await both(bench, misread)


@row("refused field")
async def refused_field(bench: Bench) -> None:
    # Of the responses' models it is known that they take no temperature; litellm gives Gemini one.
    other = {"responses": "parallel_tool_calls", "gemini": "top_p"}
    bench.fake.refuses = other.get(bench.name, "temperature")

    async def ask(deltas: list[ReplyDelta] | None) -> None:
        history = History().user("I am Ada")
        assert (await bench.ask(history, deltas, temperature=0.5, top_p=0.9)).text == "hello"

    await both(bench, ask)
    assert len(bench.fake.refused) == 1, "what was refused once is remembered"
    bench.fake.refused.clear()


@row("refused message")
async def refused_message(bench: Bench) -> None:
    bench.fake.refuses_images = True
    history = History().user("What is this?", image=True)
    assert (await bench.ask(history)).text == "hello"
    assert (await bench.ask(history.user("And now?"), [])).text == "hello"
    assert len(bench.fake.refused) == 1, "what was refused once is remembered"
    bench.fake.refused.clear()
