"""How many tokens a text takes at most, as far as its bytes tell: where no tokenizer is known.

Tokenizers differ most in what they make of scripts: the ones of 2023 take a Tamil letter for one
token and more, those of 2025 three for one. So each class of characters has a weight, which was
measured with tables of OpenAI's, old and new (`tests/unit/test_token_estimates.py`), and what is
counted is nearer to the old ones. UTF-8 tells classes apart by their first bytes, and counting
bytes takes a hundredth of the time that looking at characters does.
"""

import re
from typing import Final

_LOWER: Final = bytes(range(0x61, 0x7B))
_UPPER: Final = bytes(range(0x41, 0x5B))
_DIGITS: Final = bytes(range(0x30, 0x3A))
_SPACE: Final = b" \t"
_BREAKS: Final = b"\r\n"
_MARKS: Final = bytes(
    set(range(0x80)) - set(_LOWER) - set(_UPPER) - set(_DIGITS) - set(_SPACE) - set(_BREAKS)
)

_ASCII: Final = (
    (_LOWER, 0.27),
    (_UPPER, 0.45),
    (_DIGITS, 0.58),
    (_SPACE, 0.1),
    (_BREAKS, 1.0),
    (_MARKS, 0.68),
)


def _lead(first: int, last: int) -> bytes:
    return bytes(range(first, last + 1))


_OTHERS: Final = (
    (_lead(0xC2, 0xC3), 1.9),  # accents of western Europe
    (_lead(0xC4, 0xCB), 2.0),  # those of central Europe, phonetic signs
    (_lead(0xCC, 0xCD), 2.0),  # marks that stand above and below
    (_lead(0xCE, 0xCF), 1.1),  # Greek
    (_lead(0xD0, 0xD1), 0.75),  # Cyrillic
    (_lead(0xD2, 0xD5), 2.0),
    (_lead(0xD6, 0xD7), 1.2),  # Hebrew
    (_lead(0xD8, 0xDB), 0.85),  # Arabic
    (_lead(0xDC, 0xDF), 2.0),
    (b"\xe0", 1.5),  # of India, Thai
    (b"\xe1", 3.0),  # Georgian, Ethiopic
    (b"\xe2", 1.9),  # signs, arrows, frames
    (b"\xe3", 1.1),  # Japanese
    (_lead(0xE4, 0xE9), 1.45),  # Chinese
    (_lead(0xEA, 0xED), 1.3),  # Korean
    (b"\xee", 3.0),
    (b"\xef", 2.0),
    (b"\xf0", 3.7),  # emoji, rare Chinese characters
    (_lead(0xF1, 0xF4), 4.0),
)
_VIETNAMESE: Final = (b"\xe1\xba", b"\xe1\xbb")
_LESS_FOR_VIETNAMESE: Final = 1.7

# Keys, hashes, encoded files: hardly a word that a tokenizer knows.
_UNREADABLE: Final = re.compile(rb"[A-Za-z0-9+/_=-]{32,}")
_UNREADABLE_WEIGHT: Final = 0.8


def estimate(text: str) -> int:
    """Tokens that a text takes, rather too many than too few; never more than its bytes."""
    if not text:
        return 0
    data = text.encode(errors="replace")
    found = 1.0
    if not text.isascii():
        found += sum(weight * _count(data, kind) for kind, weight in _OTHERS)
        found -= _LESS_FOR_VIETNAMESE * sum(map(data.count, _VIETNAMESE))
    if len(data) >= 32:
        rest = _UNREADABLE.sub(b"", data)
        found += _UNREADABLE_WEIGHT * (len(data) - len(rest))
        data_left = rest
    else:
        data_left = data
    found += sum(weight * _count(data_left, kind) for kind, weight in _ASCII)
    return min(int(found) + 1, len(data))


def _count(data: bytes, kind: bytes) -> int:
    return len(data) - len(data.translate(None, kind))
