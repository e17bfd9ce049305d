"""What this process knows of models by their refusals, and shares with the other workers."""

import asyncio
import logging
import time
from collections import OrderedDict
from hashlib import blake2b

from o.domain.lessons import Lessons, ModelKey
from o.llm.providers.providers import Provider

_log = logging.getLogger(__name__)
_REFRESH_S = 30.0
_HOUR_S = 3600.0
_MOST_REFUSED = 2_000
_NOTHING: frozenset[str] = frozenset()
_NO_MARKS: frozenset[int] = frozenset()


class Learnt:
    """Lessons by model, guesses, and what of conversations was refused.

    A lesson is shared, and lasts some days. A guess may be wrong, and what was refused once (an
    image that cannot be read, a turn that failed) says nothing of the model: they are kept here
    only, for an hour.

    Args:
        lessons: Where lessons are kept for all workers; None where this process is alone.
    """

    def __init__(self, lessons: Lessons | None = None) -> None:
        self._lessons = lessons
        self._known: dict[ModelKey, frozenset[str]] = {}
        # What was learnt here and may not be among what is being read, and what of that is stored.
        self._fresh: dict[ModelKey, frozenset[str]] = {}
        self._stored: set[ModelKey] = set()
        self._guesses: dict[ModelKey, tuple[float, frozenset[str]]] = {}
        self._refused: OrderedDict[tuple[ModelKey, int], float] = OrderedDict()

    def of(self, key: ModelKey) -> frozenset[str]:
        """What was learnt of a model, or is guessed."""
        known = self._known.get(key, _NOTHING)
        if self._guesses:
            guessed_at, guesses = self._guesses.get(key, (0.0, _NOTHING))
            if guesses and time.monotonic() - guessed_at < _HOUR_S:
                return known | guesses
        return known

    def guess(self, key: ModelKey, guesses: frozenset[str]) -> None:
        """Go by these for a while."""
        if guesses:
            self._guesses[key] = (time.monotonic(), guesses | self.of(key))

    def refused_by(self, key: ModelKey) -> frozenset[int]:
        """Marks of what a model has refused."""
        if not self._refused:
            return _NO_MARKS
        oldest = time.monotonic() - _HOUR_S
        return frozenset(
            mark for (whose, mark), at in self._refused.items() if whose == key and at > oldest
        )

    def refuse(self, key: ModelKey, marks: frozenset[int]) -> None:
        """Leave these out of the model's requests for a while."""
        for mark in marks:
            self._refused.pop((key, mark), None)
            self._refused[key, mark] = time.monotonic()
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    async def learn(self, key: ModelKey, lessons: frozenset[str]) -> None:
        """Remember lessons here, and for the others where they can be told."""
        known = self._known.get(key, _NOTHING)
        if lessons <= known:
            return
        self._known[key] = known | lessons
        _log.info(
            "learnt what a model refuses", extra={"model": key.model, "lessons": len(lessons)}
        )
        if self._lessons is None or not key.organization_id:
            return
        self._fresh[key] = self._fresh.get(key, _NOTHING) | lessons
        try:
            await self._lessons.add(key, lessons)
        except Exception as error:
            _log.warning("lesson is not kept", extra={"error": type(error).__name__})
        finally:  # also where the call was cancelled meanwhile
            self._stored.add(key)

    async def refresh(self) -> None:
        """Take over what the others have learnt, and forget what is too old."""
        if self._lessons is None:
            return
        for key in self._stored:  # whoever reads now finds them
            self._fresh.pop(key, None)
        self._stored.clear()
        found = await self._lessons.all()
        alone = {key: known for key, known in self._known.items() if not key.organization_id}
        self._known = alone | found
        for key, lessons in self._fresh.items():
            self._known[key] = self._known.get(key, _NOTHING) | lessons

    async def keep_fresh(self, *, interval_s: float = 0.0) -> None:
        """Refresh every half a minute, or every `interval_s` where that is longer."""
        while True:
            try:
                await self.refresh()
            except Exception as error:
                _log.warning("lessons are not read", extra={"error": type(error).__name__})
            await asyncio.sleep(max(interval_s, _REFRESH_S))


def key_of(organization_id: str, provider: Provider, model: str) -> ModelKey:
    """Whose model is asked."""
    kind = f"{provider.provider_type} {provider.wire} {provider.base_url} {provider.api_version}"
    mark = blake2b(kind.encode(), digest_size=9).hexdigest()  # an address may hold a password
    return ModelKey(organization_id, provider.name, mark, model)
