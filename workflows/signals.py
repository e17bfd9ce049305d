"""Signals: nobody waits for an answer, and anything at all may be given with them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from temporalio import workflow
from temporalio.converter import value_to_type
from temporalio.exceptions import FailureError

_Argument = TypeVar("_Argument")


@contextmanager
def dropped(signal: str) -> Iterator[None]:
    """Nobody waits for the answer of a signal, and one that fails must not fail the workflow."""
    try:
        yield
    except (FailureError, TypeError, ValueError) as error:
        facts = {"signal": signal, "error": type(error).__name__}
        workflow.logger.warning("signal dropped", extra=facts)


def the_one(kind: type[_Argument], given: Sequence[object]) -> _Argument:
    """The argument of a signal, which comes as it was typed: none, several, or something else.

    Were it declared, a signal without it would fail the workflow's task again and again.

    Raises:
        TypeError: It is not what it has to be; ValueError when it is not one.
    """
    (value,) = given
    argument: _Argument = value_to_type(kind, value)
    return argument
