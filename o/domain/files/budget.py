"""How many files an agent has open at once, and how much it sees of each."""

from dataclasses import dataclass
from typing import Self

from o.domain.agents import Agent

# V1's by the size of the context window in tokens: files, characters of each.
BY_WINDOW = (
    (8_000, (3, 5_000)),
    (32_000, (5, 15_000)),
    (128_000, (10, 25_000)),
    (200_000, (10, 40_000)),
)
LARGEST = (15, 40_000)
"""What an agent has by its window; those above for windows of at most so many tokens."""

MOST_OPEN = 1_000
"""Nobody has more files open than this, whatever was asked for."""

_MOST_CHARS = 1_000_000
_LEAST_CHARS = 100


@dataclass(frozen=True)
class FileBudget:
    """What an agent may have in its prompt of files.

    Attributes:
        max_open: Files that are open at the same time.
        view_chars: Characters of each that are shown.
    """

    max_open: int
    view_chars: int

    @classmethod
    def of(cls, agent: Agent) -> Self:
        """What the agent was given, else what fits its context window.

        Where V1 says it: `max_files_open` and `per_file_view_window_char_limit` of an agent.
        """
        sizes = (fit for window, fit in BY_WINDOW if agent.context_window <= window)
        files, chars = next(sizes, LARGEST)
        if agent.max_files_open is not None:
            files = max(0, min(agent.max_files_open, MOST_OPEN))
        if agent.per_file_view_window_char_limit is not None:
            chars = max(_LEAST_CHARS, min(agent.per_file_view_window_char_limit, _MOST_CHARS))
        return cls(files, chars)
