"""A call that is made again, more carefully, where a provider refuses the request.

No stored message ends a conversation. What a provider cannot do with is taken out of the request:
what it names, where it names something; else roles are put in turn and what is not needed is left
out; in the end, what was said before is. So it is where a server fails each time. History stays as
it is, what helped is remembered, and the reply says what was changed.
"""

from collections.abc import Awaitable, Callable

from o.domain.llm import DeltaSink, ModelReply, ReplyDelta
from o.errors import Failure, ModelError
from o.llm.requests.fitted import FittedRequest, own_name
from o.llm.requests.refusals import may_be_mended, may_be_the_prompts
from o.llm.requests.ways import Way, Ways
from o.llm.wires.streamed import nowhere, told_whole
from workflows.options import MODEL_RETRIES

_MOST_REQUESTS = 6
_AGAIN = "the provider refused a first request, and was asked again more carefully"

Ask = Callable[[FittedRequest, DeltaSink | None], Awaitable[ModelReply]]


async def complete_carefully(ways: Ways, ask: Ask, on_delta: DeltaSink | None) -> ModelReply:
    """Ask, and ask again more carefully where that may help; a stream that has begun is over.

    Args:
        ways: How the request can be made.
        ask: Makes it once.
        on_delta: Where the reply is streamed to.

    Raises:
        ModelError: The first one, or what was met since where that asks for something else; with
            notes of what was tried beside it.
    """
    sink = _Sink(on_delta) if on_delta else None
    way = first = ways.first()
    fitted = ways.fit(way)
    refusal: ModelError | None = None
    tried: list[str] = []
    for _ in range(_MOST_REQUESTS):
        try:
            reply = await _told(ask, fitted, sink)
        except ModelError as error:
            if refusal is None or not refusal.answered:  # it refused nothing, and told no reason
                refusal = error
            tried += _notes(fitted) if way is not first else []
            following = None if sink and sink.has_begun else _next(ways, error, way, fitted)
            if following is None:
                raise _to_tell(refusal, error, tried) from None
            way = following
            fitted = ways.fit(way)
        else:
            if way is first:
                return _noting(reply, fitted.notes)
            of_model = refusal is None or may_be_mended(refusal)
            await ways.remember(way, of_model=of_model)
            return _noting(reply, _notes(fitted))
    raise _with_notes(refusal, tried) if refusal else AssertionError


def _to_tell(first: ModelError, last: ModelError, tried: list[str]) -> ModelError:
    """The first refusal, unless the last failure passes with time, or room has to be made.

    A server may also fail at what is asked more carefully: that speaks of the request alone.
    """
    passes = last.retryable and MODEL_RETRIES[last.failure].rests and not first.retryable
    is_of_last = last.failure is Failure.CONTEXT_WINDOW or passes
    return _with_notes(last if is_of_last else first, tried)


def _with_notes(error: ModelError, notes: list[str]) -> ModelError:
    for note in notes:
        error.add_note(note)
    return error


def _next(ways: Ways, error: ModelError, way: Way, fitted: FittedRequest) -> Way | None:
    is_worth_it = may_be_mended(error) or (ways.is_last_try and may_be_the_prompts(error))
    return ways.next(error, way, fitted) if is_worth_it else None


class _Sink:
    """Passes pieces on, and knows whether there were any."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self.has_begun = False
        self.fitted: FittedRequest | None = None

    async def __call__(self, delta: ReplyDelta) -> None:
        self.has_begun = True
        if delta.name and self.fitted is not None:
            name = own_name(delta.name, self.fitted)
            delta = delta if name == delta.name else delta.model_copy(update={"name": name})
        await self._on_delta(delta)


async def _told(ask: Ask, fitted: FittedRequest, sink: _Sink | None) -> ModelReply:
    """Ask once; a reply that may not be streamed is told at once."""
    if sink is not None:
        sink.fitted = fitted
    if sink is None and fitted.takes.only_streams:
        reply = await ask(fitted, nowhere)
    elif sink is None or fitted.takes.streams:
        reply = await ask(fitted, sink)
    else:
        reply = await told_whole(await ask(fitted, None), sink)
    return _named_back(reply, fitted)


def _named_back(reply: ModelReply, fitted: FittedRequest) -> ModelReply:
    """The reply with the tools that it calls by their own names."""
    names = [own_name(call.name, fitted) for call in reply.tool_calls]
    if names == [call.name for call in reply.tool_calls]:
        return reply
    calls = [
        call.model_copy(update={"name": name})
        for call, name in zip(reply.tool_calls, names, strict=True)
    ]
    return reply.model_copy(update={"tool_calls": calls})


def _noting(reply: ModelReply, notes: list[str]) -> ModelReply:
    return reply.model_copy(update={"notes": notes}) if notes else reply


def _notes(fitted: FittedRequest) -> list[str]:
    """What a request that was made again says of itself."""
    names = ", ".join(sorted(fitted.takes.left_out))
    left_out = [f"fields that were left out where they were set: {names}"] if names else []
    return [_AGAIN, *fitted.notes, *left_out]
