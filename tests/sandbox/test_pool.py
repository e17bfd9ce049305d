"""The pool of sandboxes: each is used once, and there are always some."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.leases import Lease
from sandbox.pool import Pool, Spec
from sandbox.protocol import SandboxUnavailable

_PLAIN = Spec(None, 1, 1, 1.0, 1)
_OTHER = Spec(Path("/deps/one"), 1, 1, 1.0, 1)


@dataclass
class Made:
    spec: Spec
    is_alive: bool = True
    ends: int = 0

    async def end(self) -> None:
        self.ends += 1


class Factory:
    """Makes things when it is let."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def start(self, spec: Spec) -> Made:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.made.append(Made(spec))
        return self.made[-1]


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_nothing_is_handed_out_twice_and_what_was_taken_is_replaced() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=2, idle_s=60)
    pool.warm(_PLAIN)
    await _settled()
    assert len(factory.made) == 2
    taken = [await pool.take(_PLAIN) for _ in range(9)]
    taken += await asyncio.gather(*(pool.take(_PLAIN) for _ in range(9)))
    assert len({id(one) for one in taken}) == 18
    await _settled()
    await pool.close()
    left = [one for one in factory.made if one not in taken or one.ends]
    assert [one.ends for one in left] == [1, 1]


async def test_kinds_are_kept_apart_and_the_least_used_forgotten() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=1, idle_s=60)
    assert (await pool.take(_PLAIN)).spec == _PLAIN
    assert (await pool.take(_OTHER)).spec == _OTHER
    await _settled()
    for number in range(8):
        await pool.take(Spec(None, 2 + number, 1, 1.0, 1))
        await _settled()
    first = [one for one in factory.made if one.spec in (_PLAIN, _OTHER)]
    assert sorted(one.ends for one in first) == [0, 0, 1, 1]
    await pool.close()


async def test_who_waits_is_served_by_whatever_is_ready_first() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=1, idle_s=60)
    factory.open.clear()
    pool.warm(_PLAIN)
    waiting = asyncio.create_task(pool.take(_PLAIN))
    given_up = asyncio.create_task(pool.take(_PLAIN))
    await _settled()
    given_up.cancel()
    factory.open.set()
    assert (await waiting).ends == 0
    await _settled()
    await pool.close()
    assert sum(one.ends for one in factory.made) == len(factory.made) - 1


async def test_a_dead_one_and_an_old_one_are_not_handed_out() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=2, idle_s=60)
    pool.warm(_PLAIN)
    await _settled()
    factory.made[0].is_alive = False
    assert await pool.take(_PLAIN) is factory.made[1]
    pool._idle_s = -1  # everything is too old from now on, and its kind was not used for long
    await _settled()
    pool.tend()
    await _settled()
    assert [one.ends for one in factory.made] == [1, 0, 1, 1]
    pool.tend()
    assert len(factory.made) == 4
    await pool.close()


@pytest.mark.parametrize("failure", [SandboxUnavailable("away"), RuntimeError("a bug")])
async def test_a_failed_start_fails_one_who_waits_and_is_not_tried_for_ever(
    failure: Exception,
) -> None:
    factory = Factory()
    factory.failure = failure
    pool = Pool(factory.start, size=2, idle_s=60)
    with pytest.raises(SandboxUnavailable):
        await pool.take(_PLAIN)
    await _settled()
    factory.failure = None
    assert (await pool.take(_PLAIN)).ends == 0
    await pool.close()


async def test_a_start_that_fails_late_fails_nobody_whose_own_start_works() -> None:
    """The engine was away when a spare one was started, and is back when somebody wants one."""
    starts: list[asyncio.Future[Made]] = []

    async def start(spec: Spec) -> Made:
        starts.append(asyncio.get_running_loop().create_future())
        return await starts[-1]

    pool = Pool(start, size=1, idle_s=60)
    pool.warm(_PLAIN)
    await _settled()
    taking = asyncio.create_task(pool.take(_PLAIN))
    await _settled()
    old, own = starts
    old.set_exception(SandboxUnavailable("the engine was away"))
    await _settled()
    assert not taking.done()
    own.set_result(Made(_PLAIN))
    assert (await taking).spec == _PLAIN
    await pool.close()


async def test_who_has_no_start_left_is_told_why() -> None:
    starts: list[asyncio.Future[Made]] = []

    async def start(spec: Spec) -> Made:
        starts.append(asyncio.get_running_loop().create_future())
        return await starts[-1]

    pool = Pool(start, size=1, idle_s=60)
    taking = asyncio.create_task(pool.take(_PLAIN))
    await _settled()
    assert len(starts) == 2
    for one in starts:
        assert not taking.done()
        one.set_exception(SandboxUnavailable("the engine is away"))
        await _settled()
    with pytest.raises(SandboxUnavailable, match="is away"):
        await taking
    await pool.close()


async def test_who_stopped_waiting_keeps_no_kind_from_being_forgotten() -> None:
    factory = Factory()
    factory.open.clear()
    factory.failure = SandboxUnavailable("the engine is away")
    pool = Pool(factory.start, size=1, idle_s=60)
    waiting = asyncio.create_task(pool.take(_PLAIN))
    await _settled()
    waiting.cancel()
    factory.open.set()
    await _settled()
    factory.failure = None
    for number in range(12):
        pool.warm(Spec(Path(f"/deps/{number}"), 1, 1, 1.0, 1))
        await _settled()
    assert len(factory.made) - sum(one.ends for one in factory.made) == 8
    await pool.close()


async def test_a_closed_pool_gives_nothing_and_leaves_nothing() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=2, idle_s=60)
    factory.open.clear()
    waiting = asyncio.create_task(pool.take(_PLAIN))
    await _settled()
    closing = asyncio.create_task(pool.close())
    await _settled()
    factory.open.set()
    await closing
    with pytest.raises(SandboxUnavailable):
        await waiting
    with pytest.raises(SandboxUnavailable):
        await pool.take(_PLAIN)
    assert all(one.ends == 1 for one in factory.made)


def test_leases_tell_the_living_from_the_dead(tmp_path: Path) -> None:
    one, other = Lease(tmp_path), Lease(tmp_path)
    assert one.instance == other.instance
    assert not one.is_dead(one.worker)
    assert not one.is_dead(other.worker)
    assert one.is_dead("../nobody")
    other.give_back()
    assert one.is_dead(other.worker)
    assert one.dead() == []
    one.give_back()
    assert Lease(tmp_path / "else").instance != one.instance


async def test_while_some_are_left_the_next_one_is_started_when_the_call_is_over() -> None:
    factory = Factory()
    pool = Pool(factory.start, size=2, idle_s=60, refill_after_s=0.05)
    pool.warm(_PLAIN)
    await _settled()
    await pool.take(_PLAIN)
    await _settled()
    assert len(factory.made) == 2, "one is left, and the machine is the call's"
    async with asyncio.timeout(10):
        while len(factory.made) < 3:
            await asyncio.sleep(0.01)
    await pool.take(_PLAIN)
    await pool.take(_PLAIN)
    await _settled()
    assert len(factory.made) == 5, "none is left, so that nobody waits for the end of a call"
    await pool.close()
