"""Products that are gone after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.up.product import Product

NewProduct = Callable[..., Product]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[NewProduct]:
    """Makes products; the data directory is `data` unless a name is given."""
    made: list[Product] = []

    def make(name: str = "data", **wanted: Any) -> Product:
        made.append(Product(tmp_path / name, **wanted))
        return made[-1]

    yield make
    for one in made:
        one.clean_up()
