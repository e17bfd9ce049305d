"""A process that reads one file, so that no file can hurt the worker.

It reads a line of JSON, `{"kind", "chunk_tokens", "most_chars", "memory", "cpu_s", "wall_s"}`, then
the file, to its end. It writes a line of JSON, `{"reason"}` or `{"spans", "header"}`, and
then the text. It can open nothing: no file, no connection.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial

_NICENESS = 5


def main() -> None:
    """Read one file."""
    asked = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu_s"], asked["cpu_s"] + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.alarm(asked["wall_s"])  # also where the worker that waits has died
    os.nice(_NICENESS)  # turns go before files
    # Answers go where only they go: libraries may print.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        answer, text = _read(asked)
    except MemoryError:
        megabytes = asked["memory"] // (1024 * 1024)
        words = f"Reading it takes more than the {megabytes:,} MB of memory that a file may."
        answer, text = {"reason": words}, ""
    answers.write(json.dumps(answer).encode() + b"\n" + text.encode())
    answers.flush()
    os._exit(0)  # taking apart what was built of a large file takes long


def _read(asked: dict[str, int | str]) -> tuple[dict[str, object], str]:
    # Not before the limits hold.
    from o.domain.files.kinds import FileKind  # noqa: PLC0415
    from o.files.refusal import CannotRead  # noqa: PLC0415
    from o.memory.chunking import chunk  # noqa: PLC0415

    kind = FileKind(str(asked["kind"]))
    most_chars = int(asked["most_chars"])
    read = _reader_of(kind, most_chars)
    data = sys.stdin.buffer.read()
    # What is loaded by now is all that there will be: no descriptor is left to open anything with.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    try:
        text = read(data)
        if len(text) > most_chars:
            raise CannotRead(
                f"It has {len(text):,} characters of text, and {most_chars:,} are taken at most: "
                "cut it into several files."
            )
    except CannotRead as error:
        return {"reason": str(error)}, ""
    except RecursionError:
        return {"reason": "It is nested too deeply to be read."}, ""
    cut = chunk(text, kind, most_tokens=int(asked["chunk_tokens"]))
    return {"spans": cut.spans, "header": cut.header}, text


def _reader_of(kind: str, most_chars: int) -> Callable[[bytes], str]:
    """What reads files of a kind, with all that it will ever need loaded."""
    match kind:
        case "pdf":
            from o.files.pdf import read_pdf  # noqa: PLC0415

            return partial(read_pdf, most_chars=most_chars)
        case "docx":
            from o.files.word import read_docx  # noqa: PLC0415

            return read_docx
        case "html":
            from o.files.html import read_html  # noqa: PLC0415

            return read_html
        case "json":
            from o.files.plain_text import read_json  # noqa: PLC0415

            return read_json
        case _:
            from o.files.plain_text import read_text  # noqa: PLC0415

            return read_text


if __name__ == "__main__":
    main()
