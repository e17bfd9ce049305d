"""What the bytes of a page say, also where it is wrong about how they are written."""

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*["']?([\w.:-]{1,40})""",
    re.IGNORECASE,
)
_LOOKED_AT = 4_096

# What browsers know, and no codec of Python's that does something else or takes long.
_KNOWN_NAMES = """
    utf-8 utf-16 utf-16-le utf-16-be utf-32 ascii iso8859-1 iso8859-2 iso8859-3 iso8859-4 iso8859-5
    iso8859-6 iso8859-7 iso8859-8 iso8859-9 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16
    cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp866 cp874 koi8-r koi8-u
    mac-roman mac-cyrillic gb2312 gbk gb18030 hz big5 big5hkscs euc_jp shift_jis cp932 iso2022_jp
    euc_kr cp949 tis-620
"""
_KNOWN = frozenset(_KNOWN_NAMES.split())
_ABOVE_ASCII = bytes(range(128, 256))
# Bytes of these are good UTF-8 as well, which says nothing then.
_SEVEN_BITS = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso2022_jp", "hz"})
_AS_BROWSERS_DO = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gbk"}


def decode_page(data: bytes, declared: str | None, *, is_cut: bool = False) -> str:
    """The text of a page.

    UTF-8 goes before what the page says of itself: hardly any other text is valid by chance, and
    many pages are wrong.

    Args:
        data: As it came.
        declared: The charset of its Content-Type.
        is_cut: Whether it may end inside a character.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    inside = _DECLARED.search(data[:_LOOKED_AT])
    named = [_known(declared), _known(inside[1].decode() if inside else None)]
    asked = [name for name in named if name is not None]
    first = [name for name in asked if name in _SEVEN_BITS]
    tail = 4 if is_cut else 0
    for encoding in [*first, "utf-8", *asked]:
        text = _strict(data, encoding, tail)
        if text is not None:
            return text
    others = [name for name in asked if name != "utf-8"]
    if others:
        return data.decode(others[0], "replace")
    return _with_errors(data)


def _with_errors(data: bytes) -> str:
    """UTF-8 with some bytes that are none, or else the single bytes of Western Europe."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = len(text) - len(data.translate(None, _ABOVE_ASCII)) - wrong
    return text if right > wrong else data.decode("cp1252", "replace")


def _known(name: str | None) -> str | None:
    try:
        found = codecs.lookup((name or "").strip("\"' ")).name
    except (LookupError, ValueError):
        return None
    return _AS_BROWSERS_DO.get(found, found) if found in _KNOWN else None


def _strict(data: bytes, encoding: str, tail: int) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(data, final=not tail)
    except (UnicodeError, LookupError):
        return None
