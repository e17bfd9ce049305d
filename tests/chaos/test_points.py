"""The table of kill points fits the product."""

import importlib
import inspect
from functools import reduce

import pytest

from tests.chaos.points import POINTS, Point


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_lies_in_a_coroutine_function_of_the_product(point: Point) -> None:
    module, _, attribute = point.target.partition(":")
    found: object = reduce(getattr, attribute.split("."), importlib.import_module(module))
    assert inspect.iscoroutinefunction(found)


def test_every_point_has_a_name_of_its_own() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS)
