"""Processes of one machine show their measures together, and none waits for one that hangs."""

import asyncio
import os
import time
from pathlib import Path

from o.metrics.neighbours import shown_to_others, texts_of_others


async def _say(name: str) -> str:
    return f"I am {name}"


async def test_each_has_a_name_of_its_own_and_is_heard_by_the_others(tmp_path: Path) -> None:
    async with (
        shown_to_others(tmp_path, "api", _say) as api,
        shown_to_others(tmp_path, "worker", _say) as first,
        shown_to_others(tmp_path, "worker", _say) as second,
    ):
        assert (api, first, second) == ("api-1", "worker-1", "worker-2")
        others = await texts_of_others(tmp_path, api)
        assert others == {"worker-1": "I am worker-1", "worker-2": "I am worker-2"}
    assert await texts_of_others(tmp_path, api) == {}


async def test_one_that_takes_anothers_place_has_its_name(tmp_path: Path) -> None:
    async with shown_to_others(tmp_path, "worker", _say):
        pass
    assert (tmp_path / "worker-1.sock").exists(), "as after kill -9"
    async with shown_to_others(tmp_path, "worker", _say) as name:
        assert name == "worker-1"
        assert await texts_of_others(tmp_path, "api-1") == {"worker-1": "I am worker-1"}


async def test_one_that_hangs_or_fails_is_left_out(tmp_path: Path) -> None:
    async def hang(name: str) -> str:
        await asyncio.sleep(60)
        return name

    async def fail(name: str) -> str:
        raise OSError(name)

    async with (
        shown_to_others(tmp_path, "worker", hang),
        shown_to_others(tmp_path, "worker", fail),
        shown_to_others(tmp_path, "worker", _say),
    ):
        began = time.monotonic()
        others = await texts_of_others(tmp_path, "api-1")
        assert list(others) == ["worker-3"]
        assert time.monotonic() - began < 10


async def test_a_path_may_be_longer_than_an_address_of_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    async with shown_to_others(deep, "worker", _say):
        assert await texts_of_others(deep, "api-1") == {"worker-1": "I am worker-1"}
    assert os.stat(deep).st_mode & 0o077 == 0


async def test_a_place_that_cannot_be_made_keeps_nobody_from_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        async with shown_to_others(place, "api", _say) as name:
            assert name == "api-1"
        assert await texts_of_others(place, name) == {}
    async with shown_to_others(None, "api", _say) as name:
        assert await texts_of_others(None, name) == {}
