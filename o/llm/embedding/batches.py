"""Many texts for a model that may refuse some of them, or so many at once, or such long ones.

Servers say little of their limits, and differ: 2,048 inputs or 16, 300,000 tokens or 512, an error
or a silent cut. So a request that is refused is asked again in halves, down to the one text that
is at fault, which is cut; a text of one word tells first whether the model answers at all.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.embedding import MOST_CHARS, MOST_DIMENSIONS, Refused, Vector
from o.errors import Failure, ModelError
from o.llm.embedding.embeddings import Embedder
from o.llm.providers.providers import Provider

_AT_ONCE = 32
_CHARS_AT_ONCE = 200_000
"""Of one request: with four signs to a token, a sixth of what OpenAI takes."""

_SHORTEST_CUT = 400
"""A text that is refused is halved no further: its length is not what is wrong."""

_GROWS_AFTER = 20
"""Calls without a failure after which twice as many texts are tried again."""

_MODELS_HELD = 1_000
_PROBE = "hello"
# What may be about a text, or about how many there are.
_OF_THE_TEXT = frozenset(
    {
        Failure.BAD_REQUEST,
        Failure.CONTEXT_WINDOW,
        Failure.CONTENT_FILTER,
        Failure.UNUSABLE,
        Failure.SERVER_ERROR,
    }
)


class EmbeddingBatches:
    """Asks providers, and remembers how many texts each model takes at once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: OrderedDict[tuple[str, str, str], _Limit] = OrderedDict()

    async def embed_each(
        self, provider: Provider, model: str, texts: Sequence[str]
    ) -> list[Vector | Refused]:
        """A vector for each text, or why there is none.

        Raises:
            ModelError: The model did not answer, or answers nobody's text.
            NotBuilt: The provider has no such endpoint.
        """
        key = (provider.organization_id, provider.name, model)
        limit = self._known.get(key, _Limit())
        asked = _Asked(self._embedder, provider, model, limit.at_once)
        found: list[Vector | Refused] = []
        left = [text[:MOST_CHARS] for text in texts]
        while left:
            part = _first(left, asked.at_once)
            found += await asked.embed(part)
            left = left[len(part) :]
        self._known[key] = limit.after(asked.at_once, asked.failures)
        self._known.move_to_end(key)
        while len(self._known) > _MODELS_HELD:
            self._known.popitem(last=False)
        return found


@dataclass(frozen=True)
class _Limit:
    """How many texts a model takes at once, and for how many calls nothing spoke against it."""

    at_once: int = _AT_ONCE
    good_calls: int = 0

    def after(self, at_once: int, failures: int) -> "_Limit":
        """The same behind another call."""
        if failures:
            return _Limit(at_once)
        if self.good_calls < _GROWS_AFTER:
            return _Limit(at_once, self.good_calls + 1)
        return _Limit(min(at_once * 2, _AT_ONCE))


def _first(texts: Sequence[str], at_once: int) -> list[str]:
    """As many as fit into one request, and one at least."""
    chars, count = 0, 0
    for text in texts[:at_once]:
        chars += len(text)
        if count and chars > _CHARS_AT_ONCE:
            break
        count += 1
    return list(texts[:count])


class _Asked:
    """One model, while it is asked for some texts."""

    def __init__(self, embedder: Embedder, provider: Provider, model: str, at_once: int) -> None:
        self._embedder = embedder
        self._provider = provider
        self._model = model
        self._answers = False
        self.at_once = at_once
        self.failures = 0

    async def embed(self, texts: list[str]) -> list[Vector | Refused]:
        """A vector for each, or why there is none."""
        try:
            vectors = await self._ask(texts)
        except ModelError as error:
            self.failures += 1
            if error.failure is Failure.TIMEOUT and len(texts) > 1:
                return await self._in_halves(texts)
            if error.failure not in _OF_THE_TEXT:
                raise
            await self._check_answering()
            if len(texts) > 1:
                return await self._in_halves(texts)
            return [await self._cut(texts[0], error)]
        if not all(map(any, vectors)):
            await self._check_answering()
        self._answers = True
        zeros = Refused("the model makes a vector of zeros of it")
        return [vector if any(vector) else zeros for vector in vectors]

    async def _in_halves(self, texts: list[str]) -> list[Vector | Refused]:
        half, before = (len(texts) + 1) // 2, self.failures
        found = await self.embed(texts[:half]) + await self.embed(texts[half:])
        if self.failures == before:  # there were too many
            self.at_once = min(self.at_once, half)
        return found

    async def _cut(self, text: str, error: ModelError) -> Vector | Refused:
        """The vector of as much of a text as the model takes."""
        while len(text) > _SHORTEST_CUT and error.failure is not Failure.CONTENT_FILTER:
            text = text[: len(text) // 2]
            try:
                (vector,) = await self._ask([text])
            except ModelError as again:
                if again.failure not in _OF_THE_TEXT:
                    raise
                error = again
            else:
                return vector
        return Refused(f"{error.message} {error.detail[:200]}".strip())

    async def _check_answering(self) -> None:
        """See that the model embeds anything.

        Raises:
            ModelError: It does not.
        """
        if not self._answers:
            (vector,) = await self._ask([_PROBE])
            if not any(vector):
                raise _useless(self._provider, "its vectors are zeros")
            self._answers = True

    async def _ask(self, texts: list[str]) -> list[Vector]:
        found = await self._embedder.embed(self._provider, self._model, texts)
        if len(found.vectors[0]) > MOST_DIMENSIONS:
            raise _useless(self._provider, f"its vectors have over {MOST_DIMENSIONS} numbers")
        return found.vectors


def _useless(provider: Provider, why: str) -> ModelError:
    return ModelError(
        "llm_error",
        f"The provider {provider.name} cannot be used for this model: {why}.",
        status=502,
        failure=Failure.NOT_FOUND,
    )
