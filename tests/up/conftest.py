"""Products that are gone after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.up.stubbed import StubbedProduct

NewProduct = Callable[..., StubbedProduct]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[NewProduct]:
    """Makes products; the data directory is `data` unless a name is given."""
    made: list[StubbedProduct] = []

    def make(name: str = "data", **wanted: Any) -> StubbedProduct:
        made.append(StubbedProduct(tmp_path / name, **wanted))
        return made[-1]

    yield make
    for one in made:
        one.clean_up()
