"""Reading the arguments of a tool call while a model is still writing them.

Arguments are one JSON object, which comes in pieces that may be cut anywhere: inside an escape,
between the halves of a surrogate pair, in the middle of a number. The reader gives each
top-level argument as far as it has come. It is lenient: what is not JSON yields something, and
whether the whole is valid is for `json.loads` to say.

`pydantic_core.from_json(allow_partial=…)` would read all of it again for every piece, stops at half
a surrogate pair, and gives no source of what is not a string yet.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACE = " \t\r\n"
_PLAIN = re.compile(r'[^"\\]+')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


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
        """Whether the next character, unless it is a backslash, stands for itself and no more."""
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
        self._name = ""
        self._is_first = True
        self._depth = 0
        self._quoted = False

    @property
    def has_ended(self) -> bool:
        """Whether the closing brace has come."""
        return self._at is _At.END

    def feed(self, more: str) -> list[ArgumentPiece]:
        """The arguments that `more` adds to, one entry for each, in order."""
        pieces: list[ArgumentPiece] = []
        at = 0
        while at < len(more):
            run = self._plain_run(more, at)
            if run:
                at += len(run)
                self._add(pieces, self._name, run, run if self._at is _At.IN_STRING else "")
                continue
            for name, source, text in self._step(more[at]):
                self._add(pieces, name, source, text)
            at += 1
        return pieces

    def _plain_run(self, more: str, at: int) -> str:
        """What can be taken at once: the text of a string, up to its next escape or its end."""
        in_text = self._at is _At.IN_STRING or (self._at is _At.IN_OTHER and self._quoted)
        found = _PLAIN.match(more, at) if in_text and self._decoder.is_plain else None
        return found[0] if found else ""

    def _add(self, pieces: list[ArgumentPiece], name: str, source: str, text: str) -> None:
        if pieces and not self._is_first:
            last = pieces[-1]
            pieces[-1] = ArgumentPiece(name, last.is_first, last.source + source, last.text + text)
        else:
            pieces.append(ArgumentPiece(name, self._is_first, source, text))
        self._is_first = False

    def _step(self, char: str) -> Iterator[tuple[str, str, str]]:
        match self._at:
            case _At.OBJECT:
                if char == "{":
                    self._at = _At.NAME
            case _At.NAME:
                self._before_name(char)
            case _At.IN_NAME:
                self._in_name(char)
            case _At.VALUE:
                yield from self._first_of_value(char)
            case _At.IN_STRING:
                yield self._name, char, self._in_string(char)
            case _At.IN_OTHER:
                yield from self._in_other(char)
            case _At.END:
                pass

    def _before_name(self, char: str) -> None:
        if char == '"':
            self._at, self._name, self._is_first = _At.IN_NAME, "", True
            self._decoder = StringDecoder()
        elif char == "}":
            self._at = _At.END

    def _in_name(self, char: str) -> None:
        if char == '"' and not self._decoder.in_escape:
            self._name += self._decoder.end()
            self._at = _At.VALUE
        else:
            self._name += self._decoder.feed(char)

    def _first_of_value(self, char: str) -> Iterator[tuple[str, str, str]]:
        if char in _SPACE or char == ":":
            return
        self._depth, self._quoted, self._decoder = 0, False, StringDecoder()
        if char == '"':
            self._at = _At.IN_STRING
            yield self._name, char, ""
        else:
            self._at = _At.IN_OTHER
            yield from self._in_other(char)

    def _in_string(self, char: str) -> str:
        if char == '"' and not self._decoder.in_escape:
            self._at = _At.NAME
            return self._decoder.end()
        return self._decoder.feed(char)

    def _in_other(self, char: str) -> Iterator[tuple[str, str, str]]:
        """A number, a word, a list or an object: its end is where its brackets are closed."""
        if self._quoted:
            self._quoted = char != '"' or self._decoder.in_escape
            self._decoder.feed(char)
        elif self._depth == 0 and (char in _SPACE or char in ",}"):
            self._at = _At.NAME
            self._before_name(char)
            return
        elif char == '"':
            self._quoted, self._decoder = True, StringDecoder()
        elif char in "[{":
            self._depth += 1
        elif char in "]}":
            self._depth -= 1
            if self._depth == 0:
                self._at = _At.NAME
        yield self._name, char, ""
