"""Secrets of a V1 database: read where they can be, never guessed, never mistaken for one."""

import base64
import hashlib
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from o.letta.secrets import NOTHING, V1Secret, V1Secrets

KEY = "letta-sample-test-key-not-secret"
# Made by a V1 server of release 0.16.8 with that key.
MADE_BY_V1 = "wo8l0bFOinVy491SdO5GGXCBpHEbxNHyR8XXzIHVqSDQr/UECbhreAQo+y7cD+ABXizQ+7BxrEp2EXxGKg=="
EMPTY_BY_V1 = "APzr7ScuwcUjCOggYQFQE34gtFkjhbgm7MTabhcwhCYziMolCL5EKEYbZf8="


def sealed(text: str, key: str = KEY) -> str:
    salt, nonce = os.urandom(16), os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha256", key.encode(), salt, 100_000, dklen=32)
    return base64.b64encode(
        salt + nonce + AESGCM(derived).encrypt(nonce, text.encode(), None)
    ).decode()


def test_what_a_v1_server_encrypted_is_read() -> None:
    assert V1Secrets(KEY).read(MADE_BY_V1) == V1Secret("enc-vault-token-1")
    assert V1Secrets(KEY).read(EMPTY_BY_V1) == V1Secret("")


@pytest.mark.parametrize("text", ["", "x", "pässwörd-🔑", "k" * 3_000, "line\nbreak\ttab"])
def test_any_text_comes_back(text: str) -> None:
    assert V1Secrets(KEY).read(sealed(text)) == V1Secret(text)


@pytest.mark.parametrize("key", [None, ""])
def test_without_the_key_an_encrypted_secret_is_not_taken_for_plain_text(key: str | None) -> None:
    assert V1Secrets(key).read(MADE_BY_V1) == V1Secret(None, "no key")
    assert V1Secrets(key).read(EMPTY_BY_V1) == V1Secret(None, "no key")


def test_one_under_another_key_is_not_taken_for_plain_text() -> None:
    assert V1Secrets("another").read(MADE_BY_V1) == V1Secret(None, "another key")


@pytest.mark.parametrize(
    "plain",
    [
        "abc",
        "sk-own-plain-0001",
        '{"X-Team": "comet"}',
        "Bearer " + "A" * 80,
        "abcdEFGH0123456789abcdEFGH0123456789abcdEFGH0123456789abcdEFGH0123",  # no base64: 66
        "A1b2C3d4E5f6G7h8" * 4,  # base64 of 48 bytes, at which V1 itself gives up
        hashlib.sha256(b"token").hexdigest(),  # the usual form of tokens, and base64 too
        hashlib.sha256(b"token").hexdigest().upper(),
        "eyJhbGciOiJIUzI1NiJ9." + "a" * 60 + ".sig",
        "  " + MADE_BY_V1,  # V1 writes no blanks
        "grüße" * 20,
    ],
)
@pytest.mark.parametrize("key", [None, KEY])
def test_plain_text_in_the_columns_of_encrypted_ones_is_the_secret(
    plain: str, key: str | None
) -> None:
    assert V1Secrets(key).read(plain) == V1Secret(plain)


def test_plain_text_that_nothing_tells_from_encrypted_is_not_guessed_at() -> None:
    text = base64.b64encode(hashlib.sha512(b"some token").digest()).decode()
    assert V1Secrets(KEY).read(text) == V1Secret(None, "another key")


def test_old_rows_have_it_in_the_other_column() -> None:
    assert V1Secrets(None).read(None, "old-plain-value") == V1Secret("old-plain-value")
    assert V1Secrets(None).read("", "old-plain-value") == V1Secret("old-plain-value")
    assert V1Secrets(KEY).read(MADE_BY_V1, "stale") == V1Secret("enc-vault-token-1")


def test_no_secret_is_none() -> None:
    assert V1Secrets(KEY).read(None) == NOTHING
    assert V1Secrets(KEY).read(None, "") == NOTHING
    assert V1Secrets(KEY).read("") == V1Secret("")


def test_a_changed_secret_does_not_open() -> None:
    damaged = MADE_BY_V1[:-6] + "AAAA" + MADE_BY_V1[-2:]
    assert V1Secrets(KEY).read(damaged) == V1Secret(None, "another key")
