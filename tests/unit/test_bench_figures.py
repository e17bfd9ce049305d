"""What the benchmark makes of its timings."""

import pytest

from bench.connection import Answer, request
from bench.cpu import CpuMeter
from bench.disk import DiskUse, PerThousand, per_thousand
from bench.report import Target
from bench.series import Series, rate_ratio, time_ratio


def series_of(*rounds: list[float]) -> Series:
    series = Series("x", CpuMeter({}))
    for seconds in rounds:
        series.add(seconds)
    return series


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    floor = series_of([1.0, 1.0, 1.0], [10.0, 10.0, 10.0], [1.0, 1.0, 1.0])
    turn = series_of([2.0, 2.0, 9.0], [20.0, 20.0, 20.0], [9.0, 9.0, 9.0])
    assert time_ratio(turn, floor) == 2.0


def test_a_tail_is_how_many_medians_one_turn_in_a_hundred_takes() -> None:
    series = series_of([0.02] * 98 + [0.05, 1.0])
    assert (series.p50_ms, series.p99_ms, series.max_ms) == (20.0, 1000.0, 1000.0)
    assert series.tail == 50.0
    assert series_of([0.02] * 198 + [0.05, 1.0]).tail == 2.5


async def test_a_crowd_is_counted_by_the_second_and_every_time_of_its_members_is_kept() -> None:
    async def nothing() -> None:
        pass

    crowd, one = Series("crowd", CpuMeter({})), Series("one", CpuMeter({}))
    await crowd.record_crowd(3, [nothing, nothing])
    await one.record(2, nothing)
    assert (len(crowd.seconds), len(one.seconds)) == (6, 2)
    assert crowd.rate > 0
    assert rate_ratio(crowd, crowd) == 1.0


@pytest.mark.parametrize(
    ("measured", "at_least", "mark"),
    [
        (1.3, False, "met"),
        (1.31, False, "**missed**"),
        (1.31, True, "met"),
        (1.2, True, "**missed"),
    ],
)
def test_a_target_is_met_up_to_its_limit(measured: float, at_least: bool, mark: str) -> None:
    target = Target("turn / floor", measured, 1.3, at_least=at_least)
    assert target.is_met == (mark == "met")
    assert f"| {mark}" in target.row()


def test_the_arrival_of_an_event_is_that_of_the_part_that_holds_it() -> None:
    answer = Answer(200, b"", [(1.0, b"data: ping"), (2.5, b"data: text")])
    assert answer.arrival_of(b"text") == 2.5
    with pytest.raises(LookupError):
        answer.arrival_of(b"nothing like it")


def test_a_request_says_how_long_its_json_is() -> None:
    assert request("GET", "/x").endswith(b"content-length: 0\r\n\r\n")
    sent = request("POST", "/x", {"a": "é"})
    head, _, body = sent.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head


def test_disk_is_told_for_a_thousand_turns() -> None:
    before, after = DiskUse(10_000_000, 5_000_000, 100), DiskUse(12_000_000, 5_500_000, 600)
    assert per_thousand(before, after) == PerThousand(4.0, 1.0)
