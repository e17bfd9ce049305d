"""What a provider's failure is in V1's words (`POST /v1/agents/{id}/messages`)."""

import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic_core import to_json

from o.domain.text import storable
from o.errors import Failure, ModelError
from o.llm.error_bodies import NO_STATUS, failure_of, status_of
from o.llm.pauses import forbids_retry, pause_s
from o.llm.providers.providers import Provider
from o.llm.redaction import LEAST_SECRET_CHARS
from o.outbound import AddressRefused
from workflows.options import MODEL_RETRIES

_log = logging.getLogger(__name__)

# V1's error type and HTTP status by what was wrong, whatever the provider's status, …
_ALWAYS = {
    Failure.AUTHENTICATION: ("llm_authentication", 401),
    Failure.NO_CREDIT: ("llm_insufficient_credits", 402),
    Failure.RATE_LIMIT: ("llm_rate_limit", 429),
    Failure.CONTEXT_WINDOW: ("context_window_exceeded", 400),
}
# … by the provider's status, which is what V1 goes by, …
_BY_STATUS = {
    400: ("llm_bad_request", 400),
    408: ("llm_timeout", 504),
    422: ("llm_bad_request", 400),
    429: ("llm_rate_limit", 429),
    504: ("llm_timeout", 504),
}
# … and where there is none. What is not listed is llm_error, 500.
_WITHOUT_STATUS = {
    Failure.BAD_REQUEST: ("llm_bad_request", 400),
    Failure.CONTENT_FILTER: ("llm_bad_request", 400),
    Failure.GARBLED: ("llm_bad_request", 400),
    Failure.TIMEOUT: ("llm_timeout", 504),
}
_ELSE = ("llm_error", 500)
# Why a provider is not reached, by what lies behind the client's error; the first that fits counts.
_WORDS: list[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = [
    (AddressRefused, "its address is not public, and O_OUTBOUND_ALLOW does not name it"),
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

BROKEN_OFF = "the reply was broken off by an error"
"""What is said of a reply that had begun: whatever it was, its prompt had been read."""


def refused(provider: Provider, status: int, text: str, headers: Mapping[str, str]) -> ModelError:
    """The provider answered with an error.

    Args:
        provider: Whose key is taken out of `text`.
        status: HTTP status of its answer.
        text: What it said.
        headers: Of its answer, which may say when to come again.
    """
    failure = failure_of(status, text)
    kind, ours = _shape(failure, status)
    said = f"with status {status}" if status != NO_STATUS else "with an error"
    retry = MODEL_RETRIES[failure]
    limited = failure in (Failure.RATE_LIMIT, Failure.OVERLOADED)
    return ModelError(
        kind,
        f"The provider {provider.name} answered {said}.",
        detail=storable(without_key(text, provider)),
        status=ours,
        retryable=retry.is_retried and not forbids_retry(headers),
        retry_after_s=pause_s(headers, text, limited=limited),
        failure=failure,
        answered=status,
    )


def _shape(failure: Failure, status: int) -> tuple[str, int]:
    if failure in _ALWAYS:
        return _ALWAYS[failure]
    if status == NO_STATUS or status >= 500:
        return _BY_STATUS.get(status) or _WITHOUT_STATUS.get(failure, _ELSE)
    return _BY_STATUS.get(status, _ELSE)


def refused_inside(provider: Provider, error: Any) -> ModelError:
    """The provider answered with status 200 and an error inside, perhaps amid a stream."""
    text = to_json(error, fallback=str).decode()
    return refused(provider, status_of(text), text, {})


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
    is_judged = any(isinstance(cause, AddressRefused) for cause in causes_of(error))
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
        retryable=not is_judged,
        failure=Failure.TIMEOUT if timed_out else Failure.UNREACHABLE,
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
    """`text` with the provider's key taken out: some repeat it in what they say.

    What is left of a key that a provider masks or cuts itself stays.
    """
    key = provider.api_key.get_secret_value() if provider.api_key else ""
    return text.replace(key, "[key]") if len(key) >= LEAST_SECRET_CHARS else text
