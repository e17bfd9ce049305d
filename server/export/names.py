"""Names of files for what people and models have named: safe on every system that keeps files.

What is exported on one machine is unpacked on another: Windows and macOS take `A` and `a` for one
name, Windows keeps some names for devices and takes no dot or blank at the end, and no system takes
more than 255 bytes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_MAX_BYTES = 120  # what is put behind it (an id, a suffix, a mark of what is unfinished) has room
_KEPT_CHARS = 12  # of an id: 48 bits, so that 100,000 agents hardly share one
_NOT_TAKEN = frozenset('<>:"/\\|?*`')
_DEVICES = re.compile(
    r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\.|$)"
)


def safe_name(text: str, otherwise: str) -> str:
    """A name for a file or folder that looks like `text`; `otherwise` where nothing is left of it.

    Separators, what cannot be seen, and what some system does not take become `_`.
    """
    shown = "".join(
        "_" if char in _NOT_TAKEN or unicodedata.category(char)[0] == "C" else char
        for char in unicodedata.normalize("NFC", text)
    )
    shown = re.sub(r"\s+", " ", shown).strip(" .-~")
    shown = _cut(shown).rstrip(" .")
    if not shown.strip("_"):
        return otherwise
    return f"_{shown}" if _DEVICES.match(shown) else shown


def name_with_id(text: str, id_: str) -> str:
    """A name that no other thing of that kind has, whatever its text is."""
    prefix, _, rest = id_.partition("-")
    return f"{safe_name(text, prefix)}-{rest.replace('-', '')[:_KEPT_CHARS]}"


def distinct_names(named: Sequence[tuple[str, str]]) -> list[str]:
    """Names for things that lie beside each other, given text and id of each.

    Those whose names would be one on some system have their ids in them.
    """
    plain = [safe_name(text, id_.partition("-")[0]) for text, id_ in named]
    count = Counter(name.casefold() for name in plain)
    return [
        name if count[name.casefold()] == 1 else name_with_id(text, id_)
        for name, (text, id_) in zip(plain, named, strict=True)
    ]


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore")
