"""The model that comes with the server: its process, and the texts that try it."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from o.errors import ModelError
from o.llm.embedding import local as local_embedding
from o.llm.embedding.local import LocalEmbedding, default_embedding, is_installed, pieces_of
from o.settings.providers import ProviderSettings
from tests.support.product import is_alive


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[LocalEmbedding]:
    model = LocalEmbedding()
    yield model
    await model.close()


def _nearness(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


async def test_a_question_is_nearest_to_the_text_that_answers_it(model: LocalEmbedding) -> None:
    texts = ["Ada grew up in a village near Lyon.", "The oven needs ten minutes.", "猫が好きです"]
    kept = await model.embed(texts, is_query=False)
    (asked,) = await model.embed(["Where did she spend her childhood?"], is_query=True)
    nearest = max(range(3), key=lambda n: _nearness(asked, kept[n]))
    assert nearest == 0
    assert {len(vector) for vector in kept} == {384}
    assert [_nearness(vector, vector) for vector in kept] == pytest.approx([1, 1, 1])


async def test_no_text_ends_its_process(model: LocalEmbedding) -> None:
    # The signs in the third are written out as eighteen others.
    texts = [
        "",
        "a\0b",
        "ﷺ" * 60,
        "\ud800",
        "👩‍👩‍👧‍👦",
        " " * 9_000,
        "e" + "\u0301" * 100,
        "\u202e",
    ]
    found = await model.embed(texts, is_query=False)
    assert [_nearness(vector, vector) for vector in found] == pytest.approx([1.0] * len(texts))


def test_a_long_text_is_cut_into_pieces_and_what_is_behind_them_is_left_out() -> None:
    text = " ".join(f"word{n}" for n in range(5_000))
    pieces = pieces_of(text)
    assert len(pieces) == 4
    assert all(len(piece.encode()) <= 1_500 for piece in pieces)
    assert text.startswith(" ".join(pieces))
    assert all(len(piece.encode()) <= 1_500 for piece in pieces_of("東" * 20_000))
    assert pieces_of("") == [""]


_CHILD = """
import base64, json, os, pathlib, struct, sys, time
times = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    times.write_text(times.read_text() + "x" if times.exists() else "x")
    is_first = len(times.read_text()) == 2  # behind what tries each process
    if sys.argv[2] in (*asked["texts"], "always") or (sys.argv[2] == "once" and is_first):
        print("not json") if sys.argv[3] == "garbage" else None
        time.sleep(600) if sys.argv[3] == "hangs" else os._exit(1)
    vector = base64.b64encode(struct.pack("<2f", 3, 4)).decode()
    print(json.dumps({"vectors": [vector] * len(asked["texts"])}), flush=True)
"""


def child(tmp_path: Path, on: str, what: str, *, idle_s: float = 60.0) -> LocalEmbedding:
    """A process that fails on a text, or `once` it is up, or `always`."""
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "times"), on, what]
    return LocalEmbedding(command=command, answer_s=5.0 if what == "hangs" else 20.0, idle_s=idle_s)


@pytest.mark.parametrize("what", ["dies", "hangs", "garbage"])
async def test_a_process_that_fails_once_costs_one_retry(tmp_path: Path, what: str) -> None:
    model = child(tmp_path, "once", what)
    assert await model.embed(["a"], is_query=True) == [[0.6, pytest.approx(0.8)]]
    assert (tmp_path / "times").read_text() == "xxxx"
    await model.close()


async def test_a_text_that_ends_the_process_twice_is_an_error_and_the_next_one_is_embedded(
    tmp_path: Path,
) -> None:
    model = child(tmp_path, "poison", "dies")
    with pytest.raises(ModelError, match="twice over the same text"):
        await model.embed(["poison"], is_query=False)
    assert len(await model.embed(["fine", "fine"], is_query=False)) == 2
    await model.close()


@pytest.mark.parametrize(("what", "starts"), [("hangs", "x"), ("dies", "xx")])
async def test_all_who_wait_for_a_process_that_does_not_come_up_wait_for_one_start(
    tmp_path: Path, what: str, starts: str
) -> None:
    model = child(tmp_path, "always", what)
    asking = [model.embed([str(n)], is_query=n % 2 == 0) for n in range(6)]
    for failed in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(failed, ModelError)
        assert "does not come up" in failed.message
    with pytest.raises(ModelError, match="does not come up"):
        await model.embed(["later"], is_query=True)
    assert (tmp_path / "times").read_text() == starts
    await model.close()


async def test_a_process_that_did_not_come_up_is_started_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = child(tmp_path, "never", "dies")
    monkeypatch.setattr(local_embedding, "_PROBE", ["never"])
    with pytest.raises(ModelError, match="does not come up"):
        await model.embed(["a"], is_query=True)
    monkeypatch.setattr(local_embedding, "_PROBE", ["."])
    monkeypatch.setattr(local_embedding, "time", SimpleNamespace(monotonic=lambda: math.inf))
    assert len(await model.embed(["a"], is_query=True)) == 1
    await model.close()


async def test_who_does_not_wait_for_an_answer_leaves_none_for_the_next_one(
    tmp_path: Path,
) -> None:
    model = child(tmp_path, "slow", "hangs")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await model.embed(["slow"], is_query=True)
    assert len(await model.embed(["quick"], is_query=True)) == 1
    await model.close()


async def test_a_process_that_nobody_asks_ends(tmp_path: Path) -> None:
    model = child(tmp_path, "never", "dies", idle_s=0.05)
    await model.embed(["a"], is_query=True)
    process = model.process
    assert process is not None
    async with asyncio.timeout(20):
        await process.wait()
    assert not is_alive(process.pid)
    assert len(await model.embed(["a"], is_query=True)) == 1, "the next text starts another"
    await model.close()


def test_the_default_model_is_the_one_that_is_installed_or_the_one_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_installed()
    monkeypatch.delenv("O_DEFAULT_EMBEDDING", raising=False)
    assert default_embedding(ProviderSettings()) == "local/multilingual-e5-small"
    monkeypatch.setenv("O_DEFAULT_EMBEDDING", "none")
    assert default_embedding(ProviderSettings()) is None
    monkeypatch.setenv("O_DEFAULT_EMBEDDING", "openai/text-embedding-3-small")
    assert default_embedding(ProviderSettings()) == "openai/text-embedding-3-small"
