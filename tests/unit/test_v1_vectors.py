"""Vectors of a V1 database: cut to what the model made, or not taken at all."""

import pytest

from o.letta.vectors import true_vector

V1_DIMENSIONS = 4_096


def padded(*numbers: str) -> str:
    return f"[{','.join([*numbers, *['0'] * (V1_DIMENSIONS - len(numbers))])}]"


def test_a_vector_is_cut_to_its_dimension_and_keeps_its_digits() -> None:
    assert true_vector(padded("0.1", "-2.5e-07", "0"), 3) == "[0.1,-2.5e-07,0]"


def test_one_that_fills_its_column_stays_whole() -> None:
    whole = padded(*["1"] * V1_DIMENSIONS)
    assert true_vector(whole, V1_DIMENSIONS) == whole


@pytest.mark.parametrize("dimension", [None, "3", 2.0, True, 0, -1, V1_DIMENSIONS + 1])
def test_without_a_true_dimension_there_is_no_vector(dimension: object) -> None:
    assert true_vector(padded("1", "2", "3"), dimension) is None


def test_numbers_behind_the_dimension_make_it_another_one() -> None:
    assert true_vector(padded("1", "2", "3"), 2) is None


@pytest.mark.parametrize("zero", ["0", "-0"])
def test_a_vector_of_zeros_is_none(zero: str) -> None:
    assert true_vector(padded(zero, zero), 2) is None
