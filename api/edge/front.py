"""All that a request passes before it reaches a route, in order."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.access.auth import TokenCheck
from api.edge.body_bounds import BodyBounds
from api.edge.browsers import BrowserCheck
from api.edge.calls import CallCheck
from api.edge.empty_fields import EmptyFields
from api.edge.heads import HeadAsGet
from api.edge.openai_errors import OpenAIErrors
from api.edge.rates import RateLimit
from api.edge.request_log import RequestLog
from o.call_tokens import CallTokens
from o.secrets import Keyring
from o.settings.all import Settings

# Beside those that every page may read.
_SHOWN_HEADERS = ("etag", "retry-after", "x-should-retry")


def add_checks(app: FastAPI, settings: Settings) -> None:
    """Put the checks in front of the routes. The one that is added last is asked first."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(EmptyFields)
    app.add_middleware(
        BodyBounds,
        max_bytes=settings.max_body_bytes,
        upload_bytes=settings.upload_limit_bytes,
    )
    if settings.rate_limit:
        app.add_middleware(RateLimit, rate=settings.rate_limit)
    app.add_middleware(TokenCheck, token=settings.api_token, rate=settings.rate_limit)
    if settings.api_token is None:
        app.add_middleware(
            BrowserCheck,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.cors_origins,
        )
    tokens = CallTokens(Keyring(settings.data_dir, settings.encryption_key))
    app.add_middleware(CallCheck, tokens=tokens)
    app.add_middleware(OpenAIErrors)
    # In front of the checks, so that a page may read why it was refused.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials=True,
        allow_private_network=True,
        expose_headers=_SHOWN_HEADERS,
    )
    app.add_middleware(RequestLog)
    if settings.trusted_proxies:
        trusted = [*settings.trusted_proxies, *_in_ipv6(settings.trusted_proxies)]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)


def _in_ipv6(networks: Iterable[str]) -> Iterator[str]:
    """Networks of IPv4 as what speaks IPv6 spells them: `::ffff:10.0.0.0/104`."""
    for one in map(ip_network, networks):
        if one.version == 4:
            yield f"::ffff:{one.network_address}/{96 + one.prefixlen}"
