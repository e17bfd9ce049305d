"""HTML as Markdown, by a process of its own with limits of memory and time."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from o.errors import ToolFailed

_CHILD = Path(__file__).with_name("markdown_child.py")
_MEMORY = 2 * 1024 * 1024 * 1024
_CPU_S = 10
_WALL_S = 30.0
_AT_ONCE = 2


@dataclass(frozen=True)
class PageText:
    """A page as a reader sees it."""

    title: str
    text: str


class MarkdownProcesses:
    """Converts pages, a few at a time."""

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._room = asyncio.Semaphore(at_once)

    async def convert(self, html: str, base_url: str) -> PageText:
        """A page as Markdown, with links that are whole.

        Raises:
            ToolFailed: It takes too much time or memory.
        """
        limits = {"base_url": base_url, "memory": _MEMORY, "cpu_s": _CPU_S}
        given = json.dumps(limits).encode() + b"\n" + html.encode("utf-8", "replace")
        async with self._room:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(_CHILD),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.defpath},
            )
            try:
                async with asyncio.timeout(_WALL_S):
                    out, _ = await process.communicate(given)
            except TimeoutError:
                out = b""
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        try:
            return PageText(**json.loads(out))
        except (ValueError, TypeError):
            raise ToolFailed(
                "The page was fetched, but it is built in a way that takes too long to read."
            ) from None
