"""Secrets as they are stored: encrypted, under a key that each of them names.

A stored secret is `o1:<name of the key>:<nonce, ciphertext and tag in base64url>`, AES-256-GCM.
What it belongs to is authenticated with it, so that nobody can move it to another row.

The keys come from `O_ENCRYPTION_KEY`, else from a file in the data directory that the first secret
makes. Several may be given: the first one encrypts, all of them decrypt. So keys rotate.

`cryptography` is loaded with the first secret: it takes 10 MB, and many processes meet none.
"""

import base64
import binascii
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from o.errors import Unavailable

FILE = "encryption-key"

_FORMAT = "o1"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_NAME_CHARS = 16


class SecretUnreadable(ValueError):
    """A stored secret cannot be decrypted here; the message says why, and holds nothing of it."""


class Keyring:
    """Encrypts and decrypts what is stored. Safe to use from several processes on one machine."""

    def __init__(self, data_dir: Path, given: SecretStr | None = None) -> None:
        """Read nothing yet.

        Args:
            data_dir: Where the file with keys is, or will be made.
            given: `O_ENCRYPTION_KEY`: one or several, separated by commas, the newest first.
        """
        self._file = data_dir / FILE
        self._given = given
        self._keys: dict[str, bytes] = {}

    def encrypt(self, text: str, *, of: str) -> str:
        """`text` as it is stored.

        Args:
            text: The secret.
            of: What it belongs to, such as a row and a column; needed again to decrypt it.

        Raises:
            Unavailable: There is no key, and the file for one cannot be written.
        """
        if not self._given and not self._file.exists():
            self._make_file()
        self._load()
        if not self._keys:
            raise Unavailable(f"No encryption key can be read from {self._file}.")
        name, key = next(iter(self._keys.items()))
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  see above

        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), of.encode())
        return f"{_FORMAT}:{name}:{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, stored: str, *, of: str) -> str:
        """The secret that was stored.

        Raises:
            SecretUnreadable: Its key is not here, or it was not made by `encrypt` for `of`.
        """
        form, _, rest = stored.partition(":")
        name, _, sealed = rest.partition(":")
        if form != _FORMAT:
            raise SecretUnreadable("it is stored in a form that this release does not know")
        if name not in self._keys:
            self._load()  # another process may have made the file meanwhile
        if (key := self._keys.get(name)) is None:
            raise SecretUnreadable(f"the encryption key {name}, which it was stored with, is gone")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            found = base64.urlsafe_b64decode(sealed)
            nonce, ciphertext = found[:_NONCE_BYTES], found[_NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, ciphertext, of.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise SecretUnreadable("what is stored was changed, or belongs elsewhere") from None

    def _load(self) -> None:
        texts = self._given.get_secret_value().split(",") if self._given else []
        with suppress(OSError, UnicodeDecodeError):
            texts += self._file.read_text(encoding="ascii").splitlines()
        # The order counts: what is given goes before the file.
        made = [_key_of(text) for text in map(str.strip, texts) if text]
        self._keys = {_name_of(key): key for key in made}

    def _make_file(self) -> None:
        """Write a new key, unless somebody else has just done so. It is whole or not there."""
        new = self._file.with_name(f"{FILE}.{secrets.token_hex(8)}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(fd, "w", encoding="ascii") as file:
                    file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):
                    os.link(new, self._file)  # unlike a rename, it replaces nothing
            finally:
                new.unlink()
            _sync(self._file.parent)
        except OSError as error:
            raise Unavailable(
                f"No encryption key can be made: {self._file}: {error.strerror}. "
                "Set O_ENCRYPTION_KEY, or make room there."
            ) from error


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_known: dict[str, bytes] = {}


def _key_of(text: str) -> bytes:
    """The key that a text stands for: 32 bytes in base64 as they are, anything else by scrypt."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    if digest not in _known:
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            key = hashlib.scrypt(text.encode(), salt=b"o encryption key", n=2**14, r=8, p=1)[
                :_KEY_BYTES
            ]
        _known[digest] = key
    return _known[digest]


def _name_of(key: bytes) -> str:
    """What ciphertexts call a key; it says nothing about it."""
    return hashlib.sha256(b"o key name" + key).hexdigest()[:_NAME_CHARS]
