"""More careful ways to make a request that was refused, from the narrowest change to the widest."""

from dataclasses import dataclass, replace
from enum import IntEnum

from o.domain.lessons import ModelKey
from o.domain.llm import ModelRequest
from o.errors import Failure, ModelError
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import optional_fields
from o.llm.requests.capabilities import Capabilities
from o.llm.requests.fitted import FittedRequest, fit, known_capabilities
from o.llm.requests.learnt import Learnt, key_of
from o.llm.requests.leaving_out import (
    addition_marks,
    failed_turn_marks,
    has_earlier_turns,
    image_marks,
    is_in_tool_turn,
)
from o.llm.requests.lessons import FIELD, IDS, PLAIN, PLAIN_SCHEMAS, bare, with_lessons
from o.llm.requests.refusals import (
    BOUNDS,
    counts_the_reply,
    is_about_additions,
    is_about_schemas,
    lessons_of,
    may_be_mended,
)

_LEAST_NEEDED = ("parallel_tool_calls", "stream_options")
"""Fields that are guessed to be refused before others are: the first is missed the least."""


class Care(IntEnum):
    """How much is left out that nobody has complained of by name."""

    USUAL = 0
    BARE = 1
    """Roles in turn, no optional fields, no images."""
    TOLD = 2
    """In a turn that calls tools: its calls in words."""
    NO_FAILURES = 3
    """Earlier turns that failed."""
    ALONE = 4
    """All that was said before."""


@dataclass(frozen=True)
class Way:
    """How a request is made.

    Attributes:
        takes: What the model is thought to take.
        lessons: What refusals have said to do, in this call.
        to_remember: Which of that says something of the model, should it help.
        refused: Marks of what is left out.
        suspects: Which of them are suspected since this call.
        care: How much else is left out.
    """

    takes: Capabilities
    lessons: frozenset[str] = frozenset()
    to_remember: frozenset[str] = frozenset()
    refused: frozenset[int] = frozenset()
    suspects: frozenset[int] = frozenset()
    care: Care = Care.USUAL

    def suspecting(self, marks: frozenset[int], care: Care | None = None) -> "Way":
        """The same without these."""
        return replace(
            self,
            refused=self.refused | marks,
            suspects=self.suspects | marks,
            care=self.care if care is None else care,
        )


class Ways:
    """The ways of one model call.

    Args:
        provider: Who is asked.
        model: Which model there.
        request: What is asked.
        learnt: What is known of models.
        streams: Whether the reply is to be streamed.
    """

    def __init__(
        self,
        provider: Provider,
        model: str,
        request: ModelRequest,
        learnt: Learnt,
        *,
        streams: bool,
    ) -> None:
        self._provider = provider
        self._model = model
        self._request = request
        self._learnt = learnt
        self._streams = streams
        self._key: ModelKey = key_of(request.organization_id, provider, model)

    @property
    def is_last_try(self) -> bool:
        """Whether the request is not made again when the provider's server fails."""
        return self._request.is_last_try

    def first(self) -> Way:
        """As the model is known to take requests."""
        known = known_capabilities(self._provider, self._model)
        takes = with_lessons(known, self._learnt.of(self._key))
        return Way(takes, refused=self._learnt.refused_by(self._key))

    def fit(self, way: Way) -> FittedRequest:
        """The request as it is made that way."""
        is_alone = way.care is Care.ALONE
        return fit(
            self._provider, self._model, self._request, way.takes, way.refused, is_alone=is_alone
        )

    def next(self, error: ModelError, way: Way, fitted: FittedRequest) -> Way | None:
        """A more careful way than the one that was refused, None where there is none."""
        if error.failure is Failure.CONTEXT_WINDOW:
            return self._shorter(error, way, fitted)
        if error.failure in (Failure.CONTENT_FILTER, Failure.FORBIDDEN):
            return self._without_others(way, error)
        if PLAIN_SCHEMAS in way.lessons and is_about_schemas(error):  # it was not that
            way = replace(way, to_remember=way.to_remember - {PLAIN_SCHEMAS})
        sent = set(optional_fields(fitted, streams=self._streams and way.takes.streams))
        sent |= {"stream"} if self._streams and way.takes.streams else set()
        named, lasting = lessons_of(error, fitted, sent, way.lessons)
        if named - way.lessons:
            return replace(
                way,
                takes=with_lessons(way.takes, named),
                lessons=way.lessons | named,
                to_remember=way.to_remember | lasting,
            )
        additions = addition_marks(fitted.prompt)
        if additions and is_about_additions(error):
            return way.suspecting(additions)
        if way.care is Care.USUAL:
            return replace(way, takes=bare(way.takes), care=Care.BARE)
        return self._without_others(way, error)

    def _shorter(self, error: ModelError, way: Way, fitted: FittedRequest) -> Way | None:
        """Without a bound of the reply that has no room beside the prompt, or without images."""
        bound = BOUNDS.intersection(optional_fields(fitted, streams=False))
        if bound and counts_the_reply(error):
            return replace(way, takes=way.takes.without(*BOUNDS))
        images = image_marks(fitted.prompt)
        return way.suspecting(images) if images else None

    def _without_others(self, way: Way, error: ModelError) -> Way | None:
        """What was taken a moment ago was not the reason: it is this turn, or those that failed.

        A server that fails may do so for no reason here. All that was said before is left out for
        it once a turn has failed already.
        """
        if is_in_tool_turn(self._request.prompt):
            if way.care >= Care.TOLD:
                return None
            takes = replace(way.takes, calls_in_words=True)
            return replace(way, takes=takes, care=Care.TOLD)
        failures = failed_turn_marks(self._request.prompt) - way.refused
        if failures and way.care < Care.NO_FAILURES:
            return way.suspecting(failures, Care.NO_FAILURES)
        may_drop = may_be_mended(error) or failed_turn_marks(self._request.prompt)
        if may_drop and has_earlier_turns(self._request.prompt) and way.care < Care.ALONE:
            return replace(way, care=Care.ALONE)
        return None

    async def remember(self, way: Way, *, of_model: bool = True) -> None:
        """Learn what helped, and no more than that.

        Args:
            way: What did.
            of_model: Whether it says something of the model: a server that fails names nothing.
        """
        lessons = way.to_remember
        if way.care < Care.ALONE:
            self._learnt.refuse(self._key, way.suspects)
        if way.care is Care.BARE:
            lessons |= self._found(way)
        if of_model:
            await self._learnt.learn(self._key, lessons)
        else:
            self._learnt.guess(self._key, lessons)

    def _found(self, way: Way) -> frozenset[str]:
        """What of a bare request it was that helped; what loses nothing is thought so first.

        Nothing is learnt of images, but that those of this prompt cannot be read. That a field is
        refused is a guess, which is not for others: each costs a request, to which it may be that
        the provider was only in a mood.
        """
        takes = with_lessons(self.first().takes, way.lessons)
        usual = self.fit(replace(way, takes=takes))
        for lesson in (PLAIN, IDS):
            changed = with_lessons(takes, frozenset({lesson}))
            if self.fit(replace(way, takes=changed)).notes != usual.notes:
                return frozenset({lesson})
        if images := image_marks(usual.prompt):
            self._learnt.refuse(self._key, images)
            return frozenset()
        sent = frozenset(optional_fields(usual, streams=self._streams))
        if not sent:
            is_plain = with_lessons(takes, frozenset({PLAIN})) == takes
            return frozenset({PLAIN_SCHEMAS if is_plain else PLAIN})
        first = next(({name} for name in _LEAST_NEEDED if name in sent), sent)
        self._learnt.guess(self._key, frozenset(f"{FIELD}{name}" for name in first))
        return frozenset()
