"""The text of files that are text, whatever encoding they are in.

It runs in the child alone; see `o.files.child`.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from charset_normalizer import from_bytes

from o.domain.files.kinds import wide_encoding
from o.domain.text import storable
from o.files.codecs_loaded import load_codecs
from o.files.refusal import CannotRead

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The lines that are not ASCII alone tell of an encoding. It looks where a line begins and never
# goes back, so that a line of any length is gone through once.
_TELLING_LINE: Final = re.compile(rb"^[^\n\x80-\xff]*+([\x80-\xff][^\n]*\n?)", re.MULTILINE)
_SAMPLE_BYTES, _BEFORE_BYTES = 32_768, 200
_LOOKED_AT: Final = 65_536
# What people have, rather than all there is: mainframes' encodings look like anything.
_LIKELY: Final = """
    cp932 euc_jp iso2022_jp gb18030 big5 euc_kr cp949 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255
    cp1256 cp1257 cp1258 koi8_r koi8_u cp866 cp850 cp437 cp874 mac_roman iso8859_2 iso8859_5
    iso8859_7 iso8859_9 iso8859_15
"""
_NO_TEXT: Final = re.compile("[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_MOST_NO_TEXT: Final = 0.05
_LINE_END: Final = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_MIXED: Final = "o-mixed"

# A line of JSON that a program wrote for programs: broken behind its commas, it has lines that can
# be read, searched and quoted, and says what it said.
_LONG_LINE: Final = 2_000
_JSON_PART: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|,', re.DOTALL)


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 in a text of UTF-8 was pasted from Windows, mostly."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", "replace"), error.end


codecs.register_error(_MIXED, _as_cp1252)
load_codecs()


def read_text(data: bytes) -> str:
    r"""The text of a file, with `\n` at the end of each line and nothing that cannot be stored.

    Raises:
        CannotRead: It is none.
    """
    text = _decode(data)
    head = text[:_LOOKED_AT]
    if len(_NO_TEXT.findall(head)) > _MOST_NO_TEXT * len(head):
        raise CannotRead("It is no text, whatever its name and type say.")
    return storable(_LINE_END.sub("\n", text.removeprefix("\ufeff")))


def read_json(data: bytes) -> str:
    """The same of JSON; one that is a single long line gets lines."""
    text = read_text(data)
    if text.count("\n") * _LONG_LINE >= len(text):
        return text
    return _JSON_PART.sub(lambda part: ",\n" if part[0] == "," else part[0], text)


def _decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if (wide := wide_encoding(data[:_LOOKED_AT])) is not None:
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_other(data)


def _decode_other(data: bytes) -> str:
    """UTF-8 with some bytes that are none, or else what it looks like."""
    wrong = data.decode("utf-8", "replace").count("\ufffd") - data.count(b"\xef\xbf\xbd")
    right = sum(1 for byte in data if byte & 0xC0 == 0xC0) - wrong
    if right > wrong:
        return data.decode("utf-8", _MIXED)
    sample = b"".join(_sample(data))
    found = from_bytes(sample, cp_isolation=_LIKELY.split()).best()
    return data.decode(found.encoding if found is not None else "cp1252", "replace")


def _sample(data: bytes) -> Iterator[bytes]:
    """Of each line that tells, what begins shortly before it does so."""
    left = _SAMPLE_BYTES
    for line in _TELLING_LINE.finditer(data):
        start = max(line.start(), line.start(1) - _BEFORE_BYTES)
        part = data[start : min(line.end(), start + left)]
        yield part
        left -= len(part)
        if not left:
            return
