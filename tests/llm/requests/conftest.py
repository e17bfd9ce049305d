"""A provider that refuses, and the way to it."""

from collections.abc import Callable, Iterator

import pytest

from o.llm.models import Models
from tests.llm.requests.asking import Shelf, models_at
from tests.llm.requests.refusing import (
    RefusingProvider,
    refusing_provider,
)


@pytest.fixture
def strict() -> Iterator[RefusingProvider]:
    with refusing_provider() as strict:
        yield strict


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def models(strict: RefusingProvider, shelf: Shelf, opened: Callable[[Models], Models]) -> Models:
    return opened(models_at(strict, shelf))
