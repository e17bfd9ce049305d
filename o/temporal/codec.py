"""What Temporal keeps for us, encrypted: it then knows ids of workflows and search attributes only.

A payload is encrypted whole, with how it was encoded. It names its key, as secrets do, so what was
written before a key was changed, and what was written before there was a codec, are read side by
side. `cryptography` is loaded with the first one.
"""

from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from o.secrets import Keyring
from o.settings.all import Settings

ENCRYPTED = b"binary/encrypted"
"""How Temporal's own samples call it; the UI shows such payloads as encrypted."""

_KEY = "encryption-key-id"
_OF = "payload of temporal"


class PayloadCipher(PayloadCodec):
    """Encrypts payloads, and reads both those that are encrypted and those that are not."""

    def __init__(self, keyring: Keyring, *, encrypts: bool) -> None:
        """Take the keys; without `encrypts`, what is written stays plain."""
        self._keyring = keyring
        self._encrypts = encrypts

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as Temporal is given them. One that is encrypted stays as it is.

        Raises:
            Unavailable: There is no key, and the file for one cannot be written.
        """
        return [self._encoded(one) for one in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as they were before `encode`.

        Raises:
            SecretUnreadable: The key of one is not here, or it was changed.
        """
        return [self._decoded(one) for one in payloads]

    def _encoded(self, payload: Payload) -> Payload:
        if not self._encrypts or payload.metadata.get("encoding") == ENCRYPTED:
            return payload
        name, sealed = self._keyring.seal(payload.SerializeToString(), of=_OF)
        return Payload(metadata={"encoding": ENCRYPTED, _KEY: name.encode()}, data=sealed)

    def _decoded(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCRYPTED:
            return payload
        name = payload.metadata.get(_KEY, b"").decode(errors="replace")
        return Payload.FromString(self._keyring.open(name, payload.data, of=_OF))


def converter_of(settings: Settings) -> DataConverter:
    """How values become payloads, with these settings. Failures are encrypted with their words."""
    if settings.temporal_codec == "off":
        return DataConverter.default
    encrypts = settings.temporal_codec == "encrypt"
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    codec = PayloadCipher(keyring, encrypts=encrypts)
    if not encrypts:
        return replace(DataConverter.default, payload_codec=codec)
    return replace(
        DataConverter.default,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
