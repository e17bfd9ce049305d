"""Payloads of Temporal: encrypted whole, read whatever they are, with keys that change."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from o.secrets import Keyring, SecretUnreadable
from o.settings.all import Settings
from o.temporal.codec import ENCRYPTED, converter_of


def converter(data_dir: Path, mode: Any) -> DataConverter:
    return converter_of(Settings(data_dir=data_dir, temporal_codec=mode))


@pytest.mark.parametrize("value", ["Grüße", None, b"\x00\xff", {"a": [1, 2]}, "", "x" * 100_000])
async def test_what_is_encrypted_comes_back_and_shows_nothing(tmp_path: Path, value: Any) -> None:
    (payload,) = await converter(tmp_path, "encrypt").encode([value])
    assert payload.metadata["encoding"] == ENCRYPTED
    assert set(payload.metadata) == {"encoding", "encryption-key-id"}
    (plain,) = await DataConverter.default.encode([value])
    assert plain.data not in payload.data or not plain.data
    for mode in ("decode", "encrypt"):
        assert await converter(tmp_path, mode).decode([payload], [type(value)]) == [value]


async def test_a_rollout_and_the_way_back_read_both(tmp_path: Path) -> None:
    """First every process reads, then each encrypts; going back, they read for as long again."""
    (plain,) = await converter(tmp_path, "decode").encode(["before"])
    assert plain.metadata["encoding"] == b"json/plain"
    (sealed,) = await converter(tmp_path, "encrypt").encode(["after"])
    for mode in ("decode", "encrypt"):
        assert await converter(tmp_path, mode).decode([plain, sealed]) == ["before", "after"]
    assert converter(tmp_path, "off") is DataConverter.default


async def test_a_key_that_is_new_leaves_the_old_payloads_readable(tmp_path: Path) -> None:
    codec = converter(tmp_path, "encrypt")
    (old,) = await codec.encode(["old"])
    name = Keyring(tmp_path).add_key()
    (new,) = await codec.encode(["new"])
    assert new.metadata["encryption-key-id"].decode() == name
    assert await codec.decode([old, new]) == ["old", "new"]
    Keyring(tmp_path).forget(Keyring(tmp_path).names())
    with pytest.raises(SecretUnreadable, match="is gone"):
        await converter(tmp_path, "encrypt").decode([old])


async def test_a_payload_is_no_secret_of_the_database_and_cannot_be_changed(tmp_path: Path) -> None:
    codec = converter(tmp_path, "encrypt")
    (payload,) = await codec.encode(["x"])
    changed = Payload(metadata=payload.metadata, data=payload.data[:-1] + b"\x00\x01")
    with pytest.raises(SecretUnreadable):
        await codec.decode([changed])
    with pytest.raises(SecretUnreadable):
        Keyring(tmp_path).open(
            payload.metadata["encryption-key-id"].decode(), payload.data, of="provider-1/api_key"
        )


async def test_the_words_of_a_failure_are_encrypted_and_its_type_is_not(tmp_path: Path) -> None:
    failure = Failure()
    error = ApplicationError("said by ada", {"more": "of ada"}, type="ProviderBusy")
    await converter(tmp_path, "encrypt").encode_failure(error, failure)
    written = failure.SerializeToString()
    assert b"ada" not in written
    assert b"ProviderBusy" in written
    for mode in ("decode", "encrypt"):
        copied = Failure.FromString(written)
        read = await converter(tmp_path, mode).decode_failure(copied)
        assert isinstance(read, ApplicationError)
        assert read.message == "said by ada"
        assert read.details == ({"more": "of ada"},)


async def test_machines_with_one_setting_read_each_other(tmp_path: Path) -> None:
    key = SecretStr("a long text that somebody has thought of")
    one, two = (
        converter_of(
            Settings(data_dir=tmp_path / name, encryption_key=key, temporal_codec="encrypt")
        )
        for name in ("one", "two")
    )
    assert await two.decode(await one.encode(["x"])) == ["x"]
