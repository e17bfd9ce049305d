"""Reading the arguments of a tool call while a model is still writing them.

Arguments are one JSON object, which comes in pieces that may be cut anywhere: inside an escape,
between the halves of a surrogate pair, in the middle of a number. The reader gives each
top-level argument as far as it has come. It is lenient: what is not JSON yields something, and
whether the whole is valid is for `json.loads` to say.

A reply may have megabytes in one piece, and whoever reads it serves others meanwhile: what can be
is taken in runs, and put together once.

`pydantic_core.from_json(allow_partial=…)` would read all of it again for every piece, stops at half
a surrogate pair, and gives no source of what is not a string yet.
"""

import json
import re
from dataclasses import dataclass, field
from enum import Enum, auto

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACE = " \t\r\n"
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# Of the inside of a string; halves of surrogate pairs, and what is no escape, are the decoder's.
_RUN = re.compile(r'(?:[^"\\]++|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})++')
_DECODER = json.JSONDecoder(strict=False)  # with line breaks as they are
_BEFORE_NAME = re.compile(r'[^"}]*+')
_BEFORE_VALUE = re.compile(r"[ \t\r\n:]*+")
_BARE = re.compile(r'[^"\[{} \t\r\n,]++')
_INSIDE = re.compile(r'[^"]++')
_BRACKET = re.compile(r"[\[\]{}]")


class StringDecoder:
    """Decodes the inside of a JSON string, one character of its source at a time."""

    def __init__(self) -> None:
        self._escape: str | None = None
        self._high: int | None = None

    @property
    def in_escape(self) -> bool:
        """Whether the next character belongs to an escape, so that a quote does not end it."""
        return self._escape is not None

    @property
    def is_plain(self) -> bool:
        """Whether nothing that came before waits for the next character."""
        return self._escape is None and self._high is None

    def feed(self, char: str) -> str:
        """What is certain of the text once `char` is known; often nothing inside an escape."""
        if self._escape is None:
            if char != "\\":
                return self._flush() + char
            self._escape = ""
            return ""
        self._escape += char
        if self._escape[0] != "u":
            self._escape = None
            return self._flush() + _ESCAPES.get(char, char)
        if len(self._escape) < 5:
            return ""
        digits, self._escape = self._escape[1:], None
        return self._unit(digits)

    def end(self) -> str:
        """What is left when the string ends: half a surrogate pair stands for U+FFFD."""
        return self._flush()

    def _unit(self, digits: str) -> str:
        try:
            unit = int(digits, 16)
        except ValueError:
            return self._flush() + _REPLACEMENT
        if 0xDC00 <= unit <= 0xDFFF and self._high is not None:
            high, self._high = self._high, None
            return chr(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00))
        before = self._flush()
        if 0xD800 <= unit <= 0xDBFF:
            self._high = unit
            return before
        return before + (_REPLACEMENT if 0xDC00 <= unit <= 0xDFFF else chr(unit))

    def _flush(self) -> str:
        if self._high is None:
            return ""
        self._high = None
        return _REPLACEMENT


@dataclass(frozen=True)
class ArgumentPiece:
    """More of one top-level argument.

    Attributes:
        name: The argument's name.
        is_first: Whether it begins here.
        source: More of its JSON.
        text: More of what it says, if it is a string; empty for any other value.
    """

    name: str
    is_first: bool
    source: str
    text: str


@dataclass
class _Growing:
    """An argument that more is added to."""

    name: str
    is_first: bool
    sources: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _At(Enum):
    OBJECT = auto()
    NAME = auto()
    IN_NAME = auto()
    VALUE = auto()
    IN_STRING = auto()
    IN_OTHER = auto()
    END = auto()


class ArgumentReader:
    """Takes the pieces of one JSON object and gives out its arguments as they come."""

    def __init__(self) -> None:
        self._at = _At.OBJECT
        self._decoder = StringDecoder()
        self._name: list[str] = []
        self._is_first = True
        self._depth = 0
        self._quoted = False
        self._grown: list[_Growing] = []

    @property
    def has_ended(self) -> bool:
        """Whether the closing brace has come."""
        return self._at is _At.END

    def feed(self, more: str) -> list[ArgumentPiece]:
        """The arguments that `more` adds to, one entry for each, in order."""
        at = 0
        while at < len(more):
            at = self._take(more, at)
        grown, self._grown = self._grown, []
        return [
            ArgumentPiece(one.name, one.is_first, "".join(one.sources), "".join(one.texts))
            for one in grown
        ]

    def _add(self, source: str, text: str = "") -> None:
        if not self._grown or self._is_first:
            self._grown.append(_Growing("".join(self._name), self._is_first))
        self._is_first = False
        self._grown[-1].sources.append(source)
        self._grown[-1].texts.append(text)

    def _take(self, more: str, at: int) -> int:
        """Read on at a place; answers where to go on, which is behind it."""
        match self._at:
            case _At.OBJECT:
                end = self._before_object(more, at)
            case _At.NAME:
                end = self._before_name(more, at)
            case _At.IN_NAME:
                end = self._in_name(more, at)
            case _At.VALUE:
                end = self._before_value(more, at)
            case _At.IN_STRING:
                end = self._in_string(more, at)
            case _At.IN_OTHER:
                end = self._in_other(more, at)
            case _At.END:
                end = len(more)
        return end

    def _before_object(self, more: str, at: int) -> int:
        found = more.find("{", at)
        if found < 0:
            return len(more)
        self._at = _At.NAME
        return found + 1

    def _before_name(self, more: str, at: int) -> int:
        at = _end(_BEFORE_NAME, more, at)
        if at == len(more):
            return at
        if more[at] == "}":
            self._at = _At.END
        else:
            self._at, self._name, self._is_first = _At.IN_NAME, [], True
            self._decoder = StringDecoder()
        return at + 1

    def _in_name(self, more: str, at: int) -> int:
        end, text, is_closed = self._in_quotes(more, at)
        self._name.append(text)
        if is_closed:
            self._at = _At.VALUE
        return end

    def _before_value(self, more: str, at: int) -> int:
        at = _end(_BEFORE_VALUE, more, at)
        if at == len(more):
            return at
        self._depth, self._quoted, self._decoder = 0, False, StringDecoder()
        if more[at] != '"':
            self._at = _At.IN_OTHER
            return self._in_other(more, at)
        self._at = _At.IN_STRING
        self._add('"')
        return at + 1

    def _in_string(self, more: str, at: int) -> int:
        end, text, is_closed = self._in_quotes(more, at)
        self._add(more[at:end], text)
        if is_closed:
            self._at = _At.NAME
        return end

    def _in_other(self, more: str, at: int) -> int:
        """A number, a word, a list or an object: its end is where its brackets are closed."""
        if self._quoted:
            end, _, is_closed = self._in_quotes(more, at)
            self._quoted = not is_closed
        elif more[at] == '"':
            self._quoted, self._decoder = True, StringDecoder()
            end = at + 1
        elif self._depth:
            end = self._in_brackets(more, at)
        elif more[at] in "[{":
            self._depth, end = 1, at + 1
        elif more[at] in _SPACE or more[at] in ",}":
            self._at = _At.NAME
            return at
        else:
            end = _end(_BARE, more, at)
        self._add(more[at:end])
        return end

    def _in_brackets(self, more: str, at: int) -> int:
        """Up to the next quote, or the bracket with which the value ends."""
        end = _end(_INSIDE, more, at)
        for found in _BRACKET.finditer(more, at, end):
            self._depth += 1 if found[0] in "[{" else -1
            if self._depth == 0:
                self._at = _At.NAME
                return found.end()
        return end

    def _in_quotes(self, more: str, at: int) -> tuple[int, str, bool]:
        """More of a string: where to go on, what it says, and whether the string is closed."""
        if self._decoder.is_plain and (run := _RUN.match(more, at)):
            text, _ = _DECODER.raw_decode(f'"{run[0]}"')
            return run.end(), text, False
        if more[at] == '"' and not self._decoder.in_escape:
            return at + 1, self._decoder.end(), True
        return at + 1, self._decoder.feed(more[at]), False


def _end(run: re.Pattern[str], text: str, at: int) -> int:
    """Where a run ends that begins at a place; there, where none does."""
    found = run.match(text, at)
    return found.end() if found else at
