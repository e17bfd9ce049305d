"""A file that Temporal cannot use is set aside, and O goes on."""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from server.up.temporal_file import what_is_wrong
from tests.support.product import eventually
from tests.up.conftest import NewProduct
from tests.up.step_worker import Step
from tests.up.stubbed import StubbedProduct

PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that a Temporal has left in good order."""
    product = StubbedProduct(tmp_path_factory.mktemp("good") / "data")
    try:
        product.start()
        product.stop()
    finally:
        product.clean_up()
    file = product.data_dir / "temporal.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return file.read_bytes()


def _foreign(file: Path, good: bytes) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE note (text)")
    connection.close()


def _half_made(file: Path, good: bytes) -> None:
    """As a kill in the first milliseconds leaves it: the last tables and namespaces are missing."""
    file.write_bytes(good)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE cluster_metadata_info")
        connection.execute("DELETE FROM namespaces WHERE name = 'temporal-system'")
    connection.close()


def _of_another_release(file: Path, good: bytes) -> None:
    """Sound, finished, and of no use to this Temporal."""
    file.write_bytes(good)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE cluster_metadata_info")
    connection.close()


def _damaged(file: Path, good: bytes) -> None:
    chance, pages = random.Random(7), bytearray(good)
    for at in range(PAGE_BYTES, len(pages), 3 * PAGE_BYTES):
        pages[at : at + PAGE_BYTES] = chance.randbytes(PAGE_BYTES)
    file.write_bytes(pages)


BAD: dict[str, Callable[[Path, bytes], object]] = {
    "empty": lambda file, good: file.write_bytes(b""),
    "text": lambda file, good: file.write_text("not a database\n" * 1_000),
    "another program's": _foreign,
    "half made": _half_made,
    "of another release": _of_another_release,
    "cut in the first page": lambda file, good: file.write_bytes(good[:500]),
    "cut in the middle": lambda file, good: file.write_bytes(good[: len(good) // 2]),
    "damaged": _damaged,
    "a folder": lambda file, good: file.mkdir(),
}


async def _serves(up: StubbedProduct) -> bool:
    client = await Client.connect(up.state["temporal_address"])
    await client.start_workflow(Step.run, id="one", task_queue="nobody")
    return True


@pytest.mark.parametrize("kind", BAD)
async def test_a_file_that_temporal_cannot_use_is_set_aside_before_it_starts(
    product: NewProduct, tmp_path: Path, good: bytes, kind: str
) -> None:
    file = tmp_path / "data" / "temporal.db"
    file.parent.mkdir()
    BAD[kind](file, good)
    before = None if file.is_dir() else file.read_bytes()
    up = product().start()
    assert await _serves(up)
    (aside,) = file.parent.glob("temporal.db.unusable-*[0-9Z]")
    assert before is None or aside.read_bytes() == before, "it is kept as it was"
    up.stop()
    said = up.process.stdout.read()
    assert f"it is now {aside.name}" in said
    assert "Nothing is lost" in said


async def test_a_good_file_is_kept(product: NewProduct, good: bytes, tmp_path: Path) -> None:
    file = tmp_path / "data" / "temporal.db"
    file.parent.mkdir()
    file.write_bytes(good)
    assert what_is_wrong(file, thorough=True) is None
    up = product().start()
    assert await _serves(up)
    for _ in range(3):
        up.kill("temporal")
    up.stop()
    assert not list(file.parent.glob("temporal.db.unusable-*"))


async def test_a_file_that_is_damaged_while_temporal_runs_is_set_aside(
    product: NewProduct,
) -> None:
    up = product().start()
    assert await _serves(up)
    file = up.data_dir / "temporal.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = file.stat().st_size
    with file.open("r+b") as pages:
        pages.seek(PAGE_BYTES)
        pages.write(random.Random(3).randbytes(size - PAGE_BYTES))
    client = await Client.connect(up.state["temporal_address"], lazy=True)
    number = 0
    deadline = time.monotonic() + 40
    while not list(up.data_dir.glob("temporal.db.unusable-*")):
        assert time.monotonic() < deadline
        number += 1
        with contextlib.suppress(RPCError):
            await client.start_workflow(Step.run, id=f"w{number}", task_queue="nobody")
    async with asyncio.timeout(30):
        while not await _takes_work(client):
            await asyncio.sleep(0.05)


async def _takes_work(client: Client) -> bool:
    try:
        await client.start_workflow(Step.run, id="afterwards", task_queue="nobody")
    except RPCError:
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
async def test_a_new_data_directory_survives_a_kill_at_any_instant(
    product: NewProduct, seed: int
) -> None:
    instant_s = random.Random(seed).uniform(0.0, 2.0)
    up = product()
    begun = time.monotonic()
    up.begin()
    eventually(lambda: up.family() is not None and time.monotonic() - begun > instant_s)
    up.kill_all()
    again = product().start()
    assert await _serves(again)
    again.write("kept")
    assert again.read() == ["kept"]
