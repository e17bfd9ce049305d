"""Secrets as a V1 server with a key stores them."""

import base64
import hashlib
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.letta_v1.moving import V1_KEY


def sealed(text: str, key: str = V1_KEY) -> str:
    """Salt, nonce, ciphertext and tag in base64."""
    salt, nonce = os.urandom(16), os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha256", key.encode(), salt, 100_000, dklen=32)
    body = AESGCM(derived).encrypt(nonce, text.encode(), None)
    return base64.b64encode(salt + nonce + body).decode()
