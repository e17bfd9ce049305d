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
import math
import os
import secrets
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from o.errors import Conflict, Unavailable
from o.key_file import alone_with, replace, sync

FILE = "encryption-key"

_Stamp = tuple[int, int, int]
_NO_FILE: _Stamp = (0, 0, 0)
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
        self._read: _Stamp | None = None

    @property
    def file(self) -> Path:
        """Where keys are, unless `O_ENCRYPTION_KEY` is set."""
        return self._file

    def texts(self) -> list[str]:
        """The keys that are here, as they are written down, in their order; none is made."""
        self._load()
        return [base64.b64encode(key).decode() for key in self._keys.values()]

    def keep(self, texts: list[str]) -> None:
        """Write keys to the file, which is not there yet: those of a backup.

        Raises:
            Unavailable: It cannot be written.
        """
        self._make_file("\n".join(texts))

    def encrypt(self, text: str, *, of: str) -> str:
        """`text` as it is stored.

        Args:
            text: The secret.
            of: What it belongs to, such as a row and a column; needed again to decrypt it.

        Raises:
            Unavailable: There is no key, and the file for one cannot be written.
        """
        name, sealed = self.seal(text.encode(), of=of)
        return f"{_FORMAT}:{name}:{base64.urlsafe_b64encode(sealed).decode()}"

    def seal(self, content: bytes, *, of: str) -> tuple[str, bytes]:
        """The name of a key, and what it makes of the content; as `encrypt`, for what is no text.

        Raises:
            Unavailable: There is no key, and the file for one cannot be written.
        """
        self._load()
        if not self._keys and not self._given and not self._file.exists():
            self._make_file()
            self._load()
        if not self._keys:
            raise Unavailable(f"No encryption key can be read from {self._file}.")
        name, key = next(iter(self._keys.items()))
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  see above

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return name, nonce + AESGCM(key).encrypt(nonce, content, of.encode())

    def decrypt(self, stored: str, *, of: str) -> str:
        """The secret that was stored.

        Raises:
            SecretUnreadable: Its key is not here, or it was not made by `encrypt` for `of`.
        """
        form, _, rest = stored.partition(":")
        name, _, sealed = rest.partition(":")
        if form != _FORMAT:
            raise SecretUnreadable("it is stored in a form that this release does not know")
        try:
            return self.open(name, base64.urlsafe_b64decode(sealed), of=of).decode()
        except (binascii.Error, ValueError) as error:
            raise error if isinstance(error, SecretUnreadable) else _changed() from None

    def open(self, name: str, sealed: bytes, *, of: str) -> bytes:
        """What was sealed.

        Raises:
            SecretUnreadable: Its key is not here, or it was not made by `seal` for `of`.
        """
        if name not in self._keys:
            self._load()  # another process may have made the file meanwhile
        if (key := self._keys.get(name)) is None:
            raise SecretUnreadable(f"the encryption key {name}, which it was stored with, is gone")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], of.encode())
        except (InvalidTag, ValueError):
            raise _changed() from None

    def names(self) -> list[str]:
        """What ciphertexts call the keys that are here, in their order; none is made."""
        self._load()
        return list(self._keys)

    def add_key(self) -> str:
        """Make a key in the file, under which all that is encrypted from now on is; its name.

        Processes that run have it with the next secret: they read the file anew.

        Raises:
            Conflict: `O_ENCRYPTION_KEY` says what the keys are, or another process is at it.
            Unavailable: The file cannot be read or written; it is as it was.
        """
        self._check_own(
            "every process has to know a new key before one encrypts with it. Set it to `old,new` "
            "everywhere and restart each process, then to `new,old`, then run `o secrets rotate` "
            "without --new-key"
        )
        if not self._file.exists():
            self._make_file()
            return self.names()[0]
        with alone_with(self._file):
            replace(self._file, [_new_key(), *self._lines()])
        return self.names()[0]

    def forget(self, names: Collection[str]) -> None:
        """Take keys out of the file; what is stored under one of them is lost. Never the first one.

        Raises:
            Conflict: As for `add_key`.
            Unavailable: As for `add_key`.
        """
        self._check_own(
            f"take {', '.join(sorted(names))} out there, or of {FILE} beside it, in every process"
        )
        with alone_with(self._file):
            first, *others = self._lines()
            kept = [line for line in others if _name_of(_key_of(line)) not in names]
            replace(self._file, [first, *kept])

    def seconds_unchanged(self) -> float:
        """How long the file is as it is; without end where the setting says what the keys are."""
        try:
            return math.inf if self._given else time.time() - self._file.stat().st_mtime
        except OSError:
            return math.inf

    def _check_own(self, instead: str) -> None:
        if self._given:
            raise Conflict(f"the keys are those of O_ENCRYPTION_KEY: {instead}")

    def _lines(self) -> list[str]:
        """The keys of the file; unlike `_load`, it fails where they cannot be read."""
        try:
            lines = map(str.strip, self._file.read_text(encoding="ascii").splitlines())
            return [line for line in lines if line]
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self._file} cannot be read ({type(error).__name__})") from error

    def _load(self) -> None:
        """Have the keys as they stand now; the file is read when it is another than last time."""
        stamp: _Stamp | None = self._stamp()
        if self._keys and stamp == self._read:
            return
        texts = self._given.get_secret_value().split(",") if self._given else []
        try:
            texts += self._file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            if stamp != _NO_FILE:  # the next time it may be read
                stamp = None
        # The order counts: what is given goes before the file.
        made = [_key_of(text) for text in map(str.strip, texts) if text]
        self._keys, self._read = {_name_of(key): key for key in made}, stamp

    def _stamp(self) -> _Stamp:
        """What changes with the file, which is replaced as a whole; `_NO_FILE` without one."""
        try:
            found = self._file.stat()
        except OSError:
            return _NO_FILE
        return found.st_ino, found.st_ctime_ns, found.st_size

    def _make_file(self, text: str = "") -> None:
        """Write a new key, unless somebody else has just done so. It is whole or not there."""
        new = self._file.with_name(f"{FILE}.{secrets.token_hex(8)}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(fd, "w", encoding="ascii") as file:
                    file.write(f"{text or _new_key()}\n")
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):
                    os.link(new, self._file)  # unlike a rename, it replaces nothing
            finally:
                new.unlink()
            sync(self._file.parent)
        except OSError as error:
            raise Unavailable(
                f"No encryption key can be made: {self._file}: {error.strerror}. "
                "Set O_ENCRYPTION_KEY, or make room there."
            ) from error


def names_of(texts: Iterable[str]) -> list[str]:
    """What ciphertexts call keys, by how these are written down."""
    return [_name_of(_key_of(text)) for text in texts]


def _changed() -> SecretUnreadable:
    return SecretUnreadable("what is stored was changed, or belongs elsewhere")


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


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
