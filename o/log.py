"""Logging for every process: one line a record, facts behind the sentence, never content.

Facts hold what clients and models name, so nothing in them may look like a line, or a fact, of our
own.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

_ABOUT: ContextVar[dict[str, str] | None] = ContextVar("what work is about", default=None)

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn repeats its sentence there
    "temporal_workflow",
    "temporal_activity",
}
_OF_TEMPORAL = {
    "temporal_workflow": ("workflow_id",),
    "temporal_activity": ("workflow_id", "activity_type", "attempt"),
}
"""What is worth a fact of all that the loggers of Temporal hang on a record."""
_MOST_CHARS = 2_000
_PARTING = re.compile('[ "=]')


class TextLines(logging.Formatter):
    """`time level logger sentence key=value …`, with the `extra` of the call as the facts.

    What stands behind it, such as a traceback, is indented: a line that is not is a record.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_second = (0, "")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, without what stands behind it."""
        said = (self._time(record), record.levelname, record.name, printable(record.message))
        facts = [f"{key}={_fact(value)}" for key, value in _facts(record).items()]
        return " ".join([*said, *facts])

    def _time(self, record: logging.LogRecord) -> str:
        """When the record was made, to the millisecond, in the time of this machine."""
        second, text = self._last_second
        if second != int(record.created):  # which are many records in a row
            second = int(record.created)
            text = time.strftime(self.default_time_format, time.localtime(second))
            self._last_second = (second, text)
        return f"{text},{int(record.msecs):03}"

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, each line of it behind a bar."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """The same for a stack."""
        return _indented(stack_info)


class JsonLines(logging.Formatter):
    """One JSON object a record: its facts, `time`, `level`, `logger`, `message`, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        shown = {key: _plain(value) for key, value in _facts(record).items()} | {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        return json.dumps(shown)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Have each record of the block, and of the tasks that it begins, tell of these ids.

    Args:
        ids: By the names of their facts; those that are None are not known.
    """
    told = {name: value for name, value in ids.items() if value is not None}
    before = _ABOUT.set({**(_ABOUT.get() or {}), **told})
    try:
        yield
    finally:
        _ABOUT.reset(before)


def add_about(**ids: str) -> None:
    """The same for what is known only once the block has begun; outside of one it does nothing."""
    if (told := _ABOUT.get()) is not None:
        told |= ids


def configure_logging(level: str = "INFO", log_format: LogFormat = "text") -> None:
    """Send records at or above `level` to standard error. Called once, by `server.cli`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if log_format == "text" else JsonLines())
    # Which no format shows, and every record would look up; the last is who called.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as Python's own documentation has it
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "LiteLLM", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What a record tells, and before that what the work is about in which it was made."""
    known = vars(record)
    facts: dict[str, Any] = dict(_ABOUT.get() or {})
    for kind, names in _OF_TEMPORAL.items():
        if kind in known and isinstance(details := known[kind], Mapping):
            told = {name: details[name] for name in names if name in details}
            if told.get("workflow_id") == facts.get("conversation_id"):
                told.pop("workflow_id", None)
            facts = told | facts
    facts |= {key: value for key, value in known.items() if key not in _STANDARD}
    return facts


def _plain(value: Any) -> Any:
    """What JSON has a kind of its own for, else text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_MOST_CHARS]


def _fact(value: Any) -> str:
    """A value that cannot be taken for two facts, or for a fact and something behind it."""
    text = str(value)[:_MOST_CHARS]
    is_plain = text.isprintable() and _PARTING.search(text) is None
    return text if is_plain else json.dumps(text)


def printable(text: str) -> str:
    """The text with everything that moves the cursor or breaks the line spelled out."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _indented(text: str) -> str:
    return "\n".join(f"  | {printable(line)}" for line in text.split("\n"))
