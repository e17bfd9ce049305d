"""Secrets as V1 stored them, which has no word for whether one of them is encrypted.

An encrypted one is the base64 of salt (16 bytes), nonce (12), ciphertext and tag (16): AES-256-GCM
under a key that PBKDF2 makes of `LETTA_ENCRYPTION_KEY` and the salt. A V1 server that had no such
key wrote the plain text into the same columns, and releases before wrote it into others.
"""

import base64
import binascii
import hashlib
import string
from dataclasses import dataclass
from typing import Literal

_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_LEAST_BYTES = _SALT_BYTES + _NONCE_BYTES + _TAG_BYTES
_ROUNDS = 100_000
_REPEATED_CHARS = 12

Trouble = Literal["no key", "another key"]


@dataclass(frozen=True)
class V1Secret:
    """What was found where a secret may stand.

    Attributes:
        text: The secret; None where there is none, or where it cannot be read.
        trouble: Why it cannot be read.
    """

    text: str | None
    trouble: Trouble | None = None


NOTHING = V1Secret(None)


class V1Secrets:
    """Reads the secrets of a V1 database. A secret takes some 30 ms where it is encrypted."""

    def __init__(self, key: str | None) -> None:
        """Take `LETTA_ENCRYPTION_KEY` as the V1 server had it; None or empty where it had none."""
        self._key = key.encode() if key else None

    def read(self, sealed: str | None, plain: str | None = None) -> V1Secret:
        """The secret that stands in two columns: `<name>_enc`, and `<name>` of older releases.

        A value that encryption may have made and that does not open is never taken for the secret.
        """
        if not sealed:
            return V1Secret(plain) if plain else NOTHING if sealed is None else V1Secret("")
        parts = _parts_of(sealed)
        if parts is None:
            return V1Secret(sealed)
        if self._key is not None and (opened := _open(self._key, *parts)) is not None:
            return V1Secret(opened)
        if not _may_be_chance(sealed):
            return V1Secret(sealed)
        return V1Secret(None, "no key" if self._key is None else "another key")


def _parts_of(sealed: str) -> tuple[bytes, bytes, bytes] | None:
    """Salt, nonce, and ciphertext with its tag; None for what V1's encryption does not make."""
    try:
        found = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(found) < _LEAST_BYTES:
        return None
    behind = _SALT_BYTES + _NONCE_BYTES
    return found[:_SALT_BYTES], found[_SALT_BYTES:behind], found[behind:]


def _open(key: bytes, salt: bytes, nonce: bytes, ciphertext: bytes) -> str | None:
    # Late: it takes 10 MB, and many databases have no secret.
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    derived = hashlib.pbkdf2_hmac("sha256", key, salt, _ROUNDS, dklen=32)
    try:
        return AESGCM(derived).decrypt(nonce, ciphertext, None).decode()
    except (InvalidTag, UnicodeDecodeError):
        return None


def _may_be_chance(text: str) -> bool:
    """Whether base64 of random bytes may look so.

    Tokens in hexadecimal digits, or in one case, look like base64 too. Of 60 characters at least,
    that random bytes have none of a case is less likely than 1 in 10^13, and so is that they
    repeat themselves.
    """
    chars = set(text)
    if chars.isdisjoint(string.ascii_lowercase) or chars.isdisjoint(string.ascii_uppercase):
        return False
    pieces = [text[start : start + _REPEATED_CHARS] for start in range(len(text) - 11)]
    return len(set(pieces)) == len(pieces)
