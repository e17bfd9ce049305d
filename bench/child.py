"""A helper process of the benchmark: it says one line when it serves, and ends with its parent."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def child(module: str, *arguments: str) -> Iterator[tuple[int, str]]:
    """Run `python -m <module> <arguments>`; gives its pid and the line that it said.

    It has a session of its own, so that Ctrl-C reaches it through us only.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{module} ended before it served")
        yield process.pid, line
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def until_orphaned(line: str) -> None:
    """In the child: say that it serves, then wait for the end of the parent, or for its word."""
    print(line, flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())
