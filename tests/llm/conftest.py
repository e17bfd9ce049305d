"""A provider for each test, and models whose connections are closed behind it."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from o.llm.models import Models
from tests.llm.answering import Server, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Models], Models]]:
    """Keeps models until the end of the test, and closes them then."""
    kept: list[Models] = []

    def keep(models: Models) -> Models:
        kept.append(models)
        return models

    yield keep
    for models in kept:
        await models.close()
