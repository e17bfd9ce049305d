"""What a follower of a run gets, and when the log must be read for it."""

import pytest

from api.answers.follower import Follower
from o.domain.runs import EventKind, RunEvent
from o.errors import KeyShut, NotFound

_NO_TIME_S = 0.001


def event(seq: int) -> RunEvent:
    return RunEvent(run_id="run-1", seq=seq, attempt=1, kind=EventKind.MESSAGE, body={})


def events(*seqs: int) -> list[RunEvent]:
    return [event(seq) for seq in seqs]


class Asking:
    """A follower that counts how often it wants to be read for."""

    def __init__(self, *, is_behind: bool = False) -> None:
        self.times = 0
        self.follower = Follower("run-1", key_id="key-1", is_behind=is_behind, ask=self._ask)

    def _ask(self) -> None:
        self.times += 1

    async def seqs(self) -> list[int]:
        return [one.seq for one in await self.follower.next(_NO_TIME_S)]


async def test_events_that_follow_what_is_known_are_given_out_once() -> None:
    asking = Asking()
    asking.follower.add(events(1))
    asking.follower.add(events(2, 3))
    assert await asking.seqs() == [1, 2, 3]
    assert await asking.seqs() == []
    assert asking.times == 0


async def test_events_that_are_known_already_are_left_out() -> None:
    asking = Asking()
    asking.follower.add(events(1, 2))
    asking.follower.add(events(1, 2, 3))
    assert await asking.seqs() == [1, 2, 3]


@pytest.mark.parametrize("come", [(2,), (1, 3), (5,)])
async def test_a_gap_is_never_jumped_and_has_the_log_read(come: tuple[int, ...]) -> None:
    asking = Asking()
    asking.follower.add(events(*come))
    found = await asking.seqs()
    assert found == [1] * (1 in come)
    assert asking.follower.wants_more
    assert asking.times > 0
    assert asking.follower.known == len(found)


async def test_a_notice_without_events_has_the_log_read() -> None:
    asking = Asking()
    asking.follower.fall_behind()
    assert (asking.follower.wants_more, asking.times) == (True, 1)


async def test_one_who_comes_later_has_the_log_read_at_once() -> None:
    assert Asking(is_behind=True).times == 1


async def test_what_a_slow_reader_does_not_take_stays_in_the_database() -> None:
    asking = Asking()
    for seq in range(1, 5_001):
        asking.follower.add(events(seq))
    assert not asking.follower.wants_more, "there is something to take first"
    taken = await asking.seqs()
    assert taken == list(range(1, len(taken) + 1))
    assert len(taken) <= 1_000
    assert (asking.follower.wants_more, asking.follower.known) == (True, len(taken))


async def test_a_failure_comes_behind_the_events_that_have_come() -> None:
    asking = Asking()
    asking.follower.add(events(1))
    asking.follower.fail(NotFound("gone"))
    assert await asking.seqs() == [1]
    with pytest.raises(NotFound):
        await asking.seqs()
    assert not asking.follower.wants_more


async def test_what_has_come_is_not_given_out_once_the_key_is_shut() -> None:
    asking = Asking()
    asking.follower.add(events(1))
    asking.follower.shut(KeyShut("it was revoked"))
    asking.follower.add(events(2))
    for _ in range(2):
        with pytest.raises(KeyShut):
            await asking.seqs()
