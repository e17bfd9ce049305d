"""Arguments of built-in tools: whatever a model writes, it fits or is refused in words."""

from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator

from o.errors import ToolFailed
from o.tools.tool import Arguments, parsed


def _endless(value: object) -> object:
    return _endless([value])


class Deep(Arguments):
    value: Annotated[str, BeforeValidator(_endless)] = ""


def _nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "given", [{"value": "x"}, {"other": _nested(20_000)}], ids=["in a validator", "as they came"]
)
def test_arguments_that_take_all_of_the_stack_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match="nested too deep"):
        parsed(Deep, given)
