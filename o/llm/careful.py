"""A call that is made again, more carefully, where a provider refuses the request.

No stored message ends a conversation. What a provider cannot do with is taken out of the request:
what it names, where it names something; else roles are put in turn and what is not needed is left
out; in the end turns that have failed before are. History stays as it is, what helped is
remembered, and the reply says what was changed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from o.domain.llm import DeltaSink, ModelReply, ModelRequest, ReplyDelta
from o.errors import Failure, ModelError
from o.llm.providers import Provider
from o.llm.requests.bodies import optional_fields
from o.llm.requests.capabilities import Capabilities
from o.llm.requests.fitted import FittedRequest, fit, known_capabilities
from o.llm.requests.learnt import Learnt, key_of
from o.llm.requests.leaving_out import failed_turn_marks, image_marks
from o.llm.requests.lessons import FIELD, PLAIN, bare, with_lessons
from o.llm.requests.refusals import lessons_of, may_be_mended
from o.llm.wires.streamed import told_whole

_MOST_REQUESTS = 3
_AGAIN = "the provider refused a first request, and was asked again more carefully"
_LEAST_NEEDED = frozenset({"stream_options", "parallel_tool_calls"})

Ask = Callable[[FittedRequest, DeltaSink | None], Awaitable[ModelReply]]


@dataclass(frozen=True)
class _Way:
    """How a request is made.

    Attributes:
        takes: What the model is thought to take.
        lessons: What refusals have said to do, in this call.
        to_remember: Which of that says something of the model, should it help.
        refused: Marks of what is left out.
        is_bare: Whether everything is left out that can be.
        has_no_failures: Whether earlier turns that failed are.
    """

    takes: Capabilities
    lessons: frozenset[str] = frozenset()
    to_remember: frozenset[str] = frozenset()
    refused: frozenset[int] = frozenset()
    is_bare: bool = False
    has_no_failures: bool = False


class CarefulCall:
    """One model call, of up to three requests.

    Args:
        provider: Who is asked.
        model: Which model there.
        request: What is asked.
        learnt: What is known of models.
    """

    def __init__(
        self, provider: Provider, model: str, request: ModelRequest, learnt: Learnt
    ) -> None:
        self._provider = provider
        self._model = model
        self._request = request
        self._learnt = learnt
        self._key = key_of(request.organization_id, provider, model)

    async def complete(self, ask: Ask, on_delta: DeltaSink | None) -> ModelReply:
        """Ask, and ask again more carefully where that may help; a stream that has begun is over.

        Raises:
            ModelError: The first one, with notes of what was tried beside it.
        """
        sink = _Sink(on_delta) if on_delta else None
        known = known_capabilities(self._provider, self._model)
        takes = with_lessons(known, self._learnt.of(self._key))
        way = first = _Way(takes, refused=self._learnt.refused_by(self._key))
        refusal: ModelError | None = None
        for _ in range(_MOST_REQUESTS):
            fitted = self._fit(way)
            try:
                reply = await _told(ask, fitted, sink)
            except ModelError as error:
                refusal = refusal or error
                for note in _notes(fitted) if way is not first else ():
                    refusal.add_note(note)
                may = may_be_mended(error) and not (sink and sink.has_begun)
                following = (
                    self._next(error, way, fitted, streams=sink is not None) if may else None
                )
                if following is None:
                    raise refusal from None
                way = following
            else:
                if way is not first:
                    await self._remember(way, fitted)
                return _with_notes(reply, fitted, is_second=way is not first)
        raise refusal or AssertionError

    def _fit(self, way: _Way) -> FittedRequest:
        return fit(self._provider, self._model, self._request, way.takes, way.refused)

    def _next(
        self, error: ModelError, way: _Way, fitted: FittedRequest, *, streams: bool
    ) -> _Way | None:
        """A more careful way than the one that was refused, None where there is none."""
        if error.failure is not Failure.CONTENT_FILTER:
            sent = set(optional_fields(fitted, streams=streams and way.takes.streams))
            sent |= {"stream"} if streams and way.takes.streams else set()
            named, lasting = lessons_of(error, fitted, sent, way.lessons)
            if named - way.lessons:
                return replace(
                    way,
                    takes=with_lessons(way.takes, named),
                    lessons=way.lessons | named,
                    to_remember=way.to_remember | lasting,
                )
            if not way.is_bare:
                takes = bare(with_lessons(way.takes, frozenset({PLAIN})))
                return replace(way, takes=takes, is_bare=True)
        failures = failed_turn_marks(self._request.prompt) - way.refused
        if failures and not way.has_no_failures:
            return replace(way, refused=way.refused | failures, has_no_failures=True)
        return None

    async def _remember(self, way: _Way, fitted: FittedRequest) -> None:
        """Learn what helped, and no more than that."""
        lessons = way.to_remember
        if way.has_no_failures:
            self._learnt.refuse(self._key, failed_turn_marks(self._request.prompt))
        elif way.is_bare:
            lessons |= self._guessed(way)
        await self._learnt.learn(self._key, lessons)

    def _guessed(self, way: _Way) -> frozenset[str]:
        """What of a bare request was it that helped? What changes least is thought so first.

        Nothing is guessed of images, but that those of this prompt cannot be read.
        """
        named = frozenset(way.lessons)
        takes = with_lessons(
            known_capabilities(self._provider, self._model), self._learnt.of(self._key)
        )
        takes = with_lessons(takes, named)
        before = replace(way, takes=takes)
        plain = self._fit(replace(before, takes=with_lessons(takes, frozenset({PLAIN}))))
        usual = self._fit(before)
        if plain.notes != usual.notes:
            return frozenset({PLAIN})
        if images := image_marks(usual.prompt):
            self._learnt.refuse(self._key, images)
            return frozenset()
        sent = frozenset(optional_fields(usual, streams=True))
        if not sent:
            return frozenset({PLAIN})
        return frozenset(f"{FIELD}{name}" for name in (sent & _LEAST_NEEDED or sent))


class _Sink:
    """Passes pieces on, and knows whether there were any."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self.has_begun = False

    async def __call__(self, delta: ReplyDelta) -> None:
        self.has_begun = True
        await self._on_delta(delta)


async def _told(ask: Ask, fitted: FittedRequest, sink: _Sink | None) -> ModelReply:
    """Ask once; a reply that may not be streamed is told at once."""
    if sink is None or fitted.takes.streams:
        return await ask(fitted, sink)
    return await told_whole(await ask(fitted, None), sink)


def _with_notes(reply: ModelReply, fitted: FittedRequest, *, is_second: bool) -> ModelReply:
    notes = _notes(fitted) if is_second else fitted.notes
    return reply.model_copy(update={"notes": notes}) if notes else reply


def _notes(fitted: FittedRequest) -> list[str]:
    """What a request that was made again says of itself."""
    names = ", ".join(sorted(fitted.takes.left_out))
    left_out = [f"fields that were left out where they were set: {names}"] if names else []
    return [_AGAIN, *fitted.notes, *left_out]
