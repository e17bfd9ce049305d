"""Logging for every process: one line a record, facts behind the sentence, never content."""

import logging
import sys

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn repeats its sentence there
    "temporal_workflow",
    "temporal_activity",
}


class _Line(logging.Formatter):
    """`time level logger sentence key=value …`, with the `extra` of the call as the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        facts = " ".join(
            f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD
        )
        return f"{line} {facts}" if facts else line


def configure_logging(level: str = "INFO") -> None:
    """Send records at or above `level` to standard error. Called once, by `server.cli`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "LiteLLM", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
