"""What files are called: made fit to be shown and told apart, whatever clients send."""

import re

from o.domain.text import storable

MAX_FOLDER_NAME_CHARS = 300
MAX_FILE_NAME_CHARS = 255
"""Both stand in one index, which takes 2,704 bytes, and a character may be four."""

_MOST_SUFFIX_CHARS = 20
# Controls, and marks that write what follows from right to left: `gpj.exe` would read `exe.jpg`.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SEPARATORS = re.compile(r"[/\\]+")


def base_name(uploaded: str) -> str:
    """The name of a file that was uploaded, without the folders of the machine it comes from.

    Returns:
        At most 255 characters; empty where nothing of it is a name.
    """
    parts = _parts(uploaded)
    return _cut(parts[-1]) if parts else ""


def given_name(name: str) -> str:
    """A name that a client gives a file, which may have folders in it: `docs/setup.md`.

    Nothing leads out of them: `..` is left out. At most 255 characters; empty as above.
    """
    return _cut("/".join(_parts(name)))


def numbered(name: str, number: int) -> str:
    """The name of the n-th file that was to be called so, as V1 spells it: `notes_(1).md`."""
    stem, suffix = _split(name)
    mark = f"_({number})"
    return f"{stem[: MAX_FILE_NAME_CHARS - len(mark) - len(suffix)]}{mark}{suffix}"


def _parts(name: str) -> list[str]:
    cleaned = (_UNSEEN.sub("_", storable(part)).strip() for part in _SEPARATORS.split(name))
    return [part for part in cleaned if part not in ("", ".", "..")]


def _cut(name: str) -> str:
    if len(name) <= MAX_FILE_NAME_CHARS:
        return name
    stem, suffix = _split(name)
    return f"{stem[: MAX_FILE_NAME_CHARS - len(suffix)]}{suffix}"


def _split(name: str) -> tuple[str, str]:
    """The name, and its extension with the dot; what is long is no extension."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or stem.endswith("/") or "/" in suffix or len(suffix) >= _MOST_SUFFIX_CHARS:
        return name, ""
    return stem, dot + suffix
