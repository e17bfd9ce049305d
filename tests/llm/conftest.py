"""A provider for each test."""

from collections.abc import Iterator

import pytest

from tests.llm.answering import Server, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server
