"""What a provider's failure is in V1's words (`POST /v1/agents/{id}/messages`)."""

import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic_core import to_json

from o.errors import ModelError
from o.llm.providers import Provider

_log = logging.getLogger(__name__)

# V1's error type and HTTP status by the provider's; what is not listed is llm_error, 500.
_KINDS = {
    400: ("llm_bad_request", 400),
    401: ("llm_authentication", 401),
    402: ("llm_insufficient_credits", 402),
    408: ("llm_timeout", 504),
    422: ("llm_bad_request", 400),
    429: ("llm_rate_limit", 429),
    504: ("llm_timeout", 504),
}
_WORTH_ANOTHER_TRY = (408, 409, 429)
_NO_CREDIT = "insufficient_quota"  # OpenAI's 429 that no waiting ends
_TOO_LONG = (
    "context_length_exceeded",
    "context length",
    "context window",
    "available context size",
    "prompt is too long",
)
_LONGEST_PAUSE_S = 60.0

# Why a provider is not reached, by what lies behind the client's error; the first that fits counts.
_WORDS: list[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = [
    (ConnectionRefusedError, "the connection was refused"),
    (socket.gaierror, "its host name was not found"),
    (ssl.SSLError, "no secure connection could be made"),
    (
        (ConnectionResetError, BrokenPipeError, aiohttp.ServerDisconnectedError),
        "it broke the connection off",
    ),
    (aiohttp.ClientPayloadError, "it broke its answer off"),
    (aiohttp.ClientConnectorError, "it could not be connected to"),
]
_FAILED = "the connection failed"

# What stands for a status in an error that comes with status 200, as a code or a type; the first
# that is found counts.
_STATUSES = {
    "insufficient_quota": 402,
    "insufficient_credits": 402,
    "billing": 402,
    "rate_limit": 429,
    "too_many_requests": 429,
    "authentication": 401,
    "invalid_api_key": 401,
    "unauthorized": 401,
    "permission": 403,
    "context_length": 400,
    "invalid_request": 400,
    "bad_request": 400,
    "not_found": 404,
    "overloaded": 503,
    "unavailable": 503,
    "timeout": 504,
}


def refused(provider: Provider, status: int, text: str, headers: Mapping[str, str]) -> ModelError:
    """The provider answered with an error.

    Args:
        provider: Whose key is taken out of `text`.
        status: HTTP status of its answer.
        text: What it said.
        headers: Of its answer; `retry-after` is obeyed up to a minute.
    """
    if status == 429 and _NO_CREDIT in text:
        status = 402
    kind, ours = _KINDS.get(status, ("llm_error", 500))
    if ours == 400 and any(sign in text.lower() for sign in _TOO_LONG):
        kind = "context_window_exceeded"
    return ModelError(
        kind,
        f"The provider {provider.name} answered with status {status}.",
        detail=without_key(text, provider),
        status=ours,
        retryable=status >= 500 or status in _WORTH_ANOTHER_TRY,
        retry_after_s=_retry_after_s(headers),
    )


def refused_inside(provider: Provider, error: Any) -> ModelError:
    """The provider answered with status 200 and an error inside, perhaps amid a stream."""
    return refused(provider, _status_inside(error), to_json(error, fallback=str).decode(), {})


def _status_inside(error: Any) -> int:
    """The status that an error stands for; what tells nothing is a failure of the server."""
    signs = [error]
    if isinstance(error, dict):
        signs = [error.get(name) for name in ("code", "status", "status_code", "type")]
    for value in signs:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, int) and 400 <= number < 600:
            return number
    words = " ".join(str(value) for value in signs).lower()
    return next((status for sign, status in _STATUSES.items() if sign in words), 500)


def out_of_bounds(provider: Provider, error: ValueError) -> ModelError:
    """The provider answered with more than is taken, or in a way that cannot be read.

    It is not asked again: it would answer alike, at the same cost.
    """
    return ModelError(
        "llm_error", f"The answer of the provider {provider.name} was refused: {error}."
    )


def unreachable(provider: Provider, error: Exception, *, timed_out: bool) -> ModelError:
    """The provider did not answer, or stopped in the middle of its answer.

    Clients read why in plain words; the address is the operator's, and stands in the log.
    """
    kind, status = ("llm_timeout", 504) if timed_out else ("llm_error", 500)
    why = "it did not answer in time" if timed_out else _why_unreachable(error)
    url = urlsplit(provider.base_url)
    _log.warning(
        "provider cannot be reached",
        extra={
            "provider": provider.name,
            "address": url.netloc.rpartition("@")[2],
            "error": type(error).__name__,
        },
    )
    return ModelError(
        kind,
        f"The provider {provider.name} failed: {why}.",
        detail=why,
        status=status,
        retryable=True,
    )


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that lies behind it: clients wrap what they meet."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _why_unreachable(error: Exception) -> str:
    causes = list(causes_of(error))
    return next((why for kind, why in _WORDS if any(isinstance(c, kind) for c in causes)), _FAILED)


def without_key(text: str, provider: Provider) -> str:
    """`text` with the provider's key taken out: some repeat it in what they say."""
    key = provider.api_key.get_secret_value() if provider.api_key else ""
    return text.replace(key, "[key]") if key else text


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, min(_LONGEST_PAUSE_S, float(headers.get("retry-after", ""))))
    except ValueError:
        return None
