"""Clients that are made quickly: httpx reads all certificates anew for each, 33 ms of a processor.

Tests make thousands, nearly all for plain HTTP on loopback.
"""

import functools
import os
import ssl
from typing import Any

import httpx._transports.default

_transports: Any = httpx._transports.default
_create = _transports.create_ssl_context


@functools.cache
def _created(verify: Any, cert: Any, trust_env: bool, *environment: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = _create(verify=verify, cert=cert, trust_env=trust_env)
    return context


def _shared(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    environment = map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _created(verify, cert, trust_env, *environment)


def share_certificates() -> None:
    """Have clients that are told the same share what they trust, in this process."""
    _transports.create_ssl_context = _shared
