"""Every cell of the conformance table, over HTTP."""

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from o.llm.models import Models
from tests.llm.conformance.bench import KINDS, Bench, models_at
from tests.llm.conformance.cells import ROWS
from tests.llm.conformance.table import NOT_YET, PAGE, cells, page
from tests.llm.fakes.provider import Fake
from tests.llm.fakes.server import serving


@pytest.fixture(scope="module")
def fakes() -> dict[str, Fake]:
    return {name: kind.fake() for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def url(fakes: dict[str, Fake]) -> Iterator[str]:
    with serving(*fakes.values()) as url:
        yield url


@pytest.fixture(scope="module")
def models(url: str) -> Models:
    return models_at(url)


def _params() -> Iterator[ParameterSet]:
    for wire, row in cells():
        known = NOT_YET.get((wire, row))
        marks = [pytest.mark.xfail(reason=known, strict=True)] if known else []
        yield pytest.param(wire, row, marks=marks)


@pytest.mark.parametrize(("wire", "row"), list(_params()))
async def test_a_cell(
    wire: str, row: str, fakes: dict[str, Fake], url: str, models: Models
) -> None:
    fake = fakes[wire]
    fake.reset()
    await ROWS[row](Bench(wire, fake, url, models))
    assert fake.refused == []


def test_the_page_says_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.llm.conformance"
