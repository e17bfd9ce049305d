"""Patterns of models: which lines, and which names of files, they mean. Linear in the text."""

import fnmatch
from dataclasses import dataclass
from typing import Any

import re2

from o.errors import ToolFailed

MAX_PATTERN_CHARS = 1_000
_UNSUPPORTED = ("(?=", "(?!", "(?<=", "(?<!", "(?>", "(?P=")


@dataclass(frozen=True)
class LinePattern:
    """What lines are searched for.

    Attributes:
        regex: Of `re2`; takes bytes of UTF-8, and never goes beyond a line.
        note: How it is understood otherwise than it was meant, perhaps; empty as a rule.
    """

    regex: Any
    note: str = ""


def line_pattern(pattern: str) -> LinePattern:
    """A word or a regular expression, without regard to case.

    What is no regular expression, such as `C++`, is searched for as it stands.

    Raises:
        ToolFailed: It is empty, too long, or needs what RE2 does not have.
    """
    if not pattern:
        raise ToolFailed("Nothing was searched: the pattern is empty.")
    _check_length(pattern)
    try:
        return LinePattern(re2.compile(f"(?m){pattern}", _options()))
    except re2.error as error:
        why = _words(error)
    if any(sign in pattern for sign in _UNSUPPORTED) or _refers_back(pattern):
        raise ToolFailed(
            f"Nothing was searched: the pattern cannot be used ({why}). Lookaround and "
            "backreferences are not supported here."
        )
    if why.startswith("pattern too large"):
        raise ToolFailed("Nothing was searched: the pattern repeats too much. Make it simpler.")
    options = _options()
    options.literal = True
    note = f"The pattern is no regular expression ({why}): it was searched for as plain text."
    return LinePattern(re2.compile(pattern, options), note)


class NamePattern:
    """Which files are wanted, by their names: a part of one, a glob, or a regular expression."""

    def __init__(self, include: str) -> None:
        """Any name will do where it is blank.

        Raises:
            ToolFailed: It is too long.
        """
        _check_length(include)
        self._glob = include.strip().lower()
        self._regex: Any = None
        try:
            self._regex = re2.compile(include.strip(), _options())
        except re2.error:  # such as *.md
            if "*" not in include and "?" not in include:
                options = _options()
                options.literal = True
                self._regex = re2.compile(include.strip(), options)

    def fits(self, name: str, own_name: str) -> bool:
        """Whether a file is wanted.

        Args:
            name: With the name of its folder.
            own_name: Without it.
        """
        if not self._glob:
            return True
        if self._regex is not None and self._regex.search(name.encode(errors="replace")):
            return True
        lowered = (name.lower(), own_name.lower())
        return any(fnmatch.fnmatchcase(one, self._glob) for one in lowered)


def _options() -> Any:
    options = re2.Options()
    options.never_nl = True
    options.case_sensitive = False
    options.log_errors = False
    return options


def _check_length(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ToolFailed(
            f"Nothing was searched: a pattern has {MAX_PATTERN_CHARS} characters at most."
        )


def _refers_back(pattern: str) -> bool:
    return any(f"\\{n}" in pattern for n in range(1, 10))


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
