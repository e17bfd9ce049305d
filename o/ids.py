"""Ids as V1 spells them: `<prefix>-<uuid4>`, random or derived from what they stand for."""

import hashlib
import re
import uuid
from collections.abc import Sequence

DEFAULT_ORGANIZATION_ID = "org-00000000-0000-4000-8000-000000000000"
DEFAULT_USER_ID = "user-00000000-0000-4000-8000-000000000000"

_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_PART_BITS = 7
_KEY_CHARS = 500
_PART_MASK = (1 << _PART_BITS) - 1


def pattern(prefix: str) -> str:
    """The regular expression that an id with `prefix` matches whole."""
    return f"^{prefix}-{_UUID4}$"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` is a well-formed id with `prefix`."""
    return re.fullmatch(pattern(prefix), text) is not None


def new_id(prefix: str) -> str:
    """A random id. The low 7 bits are zero: they number the parts of a message (`otid`)."""
    return f"{prefix}-{_with_clear_part_bits(uuid.uuid4().int)}"


def derived_id(prefix: str, *parts: str | int) -> str:
    """An id that is the same for the same parts, so that a repeated write meets its first one.

    The digest is shaped as a valid UUIDv4, because clients check the version digit.
    """
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    number = uuid.UUID(bytes=digest[:16], version=4).int
    return f"{prefix}-{_with_clear_part_bits(number)}"


def part_otid(message_id: str, part: int) -> str:
    """V1's `otid` of the n-th part (0 to 127) that a stored message is shown as."""
    text = message_id.removeprefix("message-")
    last = (int(text[-2:], 16) & ~_PART_MASK) | (part & _PART_MASK)
    return f"{text[:-2]}{last:02x}"


def request_key(otids: Sequence[str]) -> str:
    """What makes a request with these `otid`s the same as another; it fits into an index.

    PostgreSQL takes 2,704 bytes into one, and a character may be four.
    """
    joined = ",".join(otid.replace("\\", "\\\\").replace(",", "\\,") for otid in otids)
    if len(joined) > _KEY_CHARS:
        joined = hashlib.sha256(joined.encode()).hexdigest()
    return f"otid:{joined}"


def _with_clear_part_bits(number: int) -> uuid.UUID:
    return uuid.UUID(int=number & ~_PART_MASK)
