"""What is taken for the arguments of a call, however a model has written them."""

import time

import pytest

from o.llm.wires.arguments import object_in


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{}{"a": 1}', {"a": 1}),
        (' \n{"a": 1}\t{"a": 1} ', {"a": 1}),
        ('{"a": 1}{"a": 2}', None),
        ('{"a": 1} and', None),
        ('{} "{\\"a\\": 1}"', {"a": 1}),
        (" ", None),
    ],
)
def test_values_that_stand_behind_one_another_are_one_if_they_say_the_same(
    written: str, meant: object
) -> None:
    assert object_in(written) == meant


def test_a_million_empty_objects_are_read_in_one_go() -> None:
    began = time.process_time()
    assert object_in("{}" * 1_000_000) == {}
    assert time.process_time() - began < 30  # a second; with a copy for each, many minutes
