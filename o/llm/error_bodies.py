"""What a provider's error is about: by the codes and types inside it, its words, its status.

Providers agree on little: one says 400 where another says 401, some pack the error of a provider
behind them into text, some answer 200. Codes are compared without case and punctuation, so that
`RESOURCE_EXHAUSTED`, `ResourceExhausted` and `resource-exhausted` are one.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from o.errors import Failure

_MOST_CHARS = 4_000  # of a message: some repeat the whole request
_DEEPEST = 6
_TEXTS = frozenset({"message", "detail", "details", "error", "msg", "raw", "error_message"})
_CODES = frozenset({"code", "type", "status", "status_code", "error_type", "reason", "__type"})

# The first that fits counts. A code fits where one of these is in it.
_BY_CODE: list[tuple[Failure, tuple[str, ...]]] = [
    (
        Failure.CONTEXT_WINDOW,
        (
            "contextlength",
            "contextwindow",
            "contextsize",
            "tokenslimitreached",
            "requesttoolarge",
            "maxprompttokens",
        ),
    ),
    (
        Failure.NO_CREDIT,
        (
            "insufficientquota",
            "insufficientcredit",
            "insufficientbalance",
            "insufficientfunds",
            "exceededcurrentquota",
            "billing",
            "creditlimit",
            "paymentrequired",
            "arrearage",
            "budgetexceeded",
        ),
    ),
    (
        Failure.CONTENT_FILTER,
        (
            "contentfilter",
            "contentpolicy",
            "responsibleaipolicy",
            "contentmoderation",
            "datainspection",
            "sensitivewords",
        ),
    ),
    (Failure.GARBLED, ("toolusefailed", "jsonvalidatefailed")),
    (
        Failure.OVERLOADED,
        ("overload", "unavailable", "capacity", "modelnotready", "slowdown", "serverbusy"),
    ),
    (
        Failure.RATE_LIMIT,
        ("ratelimit", "toomanyrequest", "throttl", "resourceexhausted", "quotaexceeded"),
    ),
    (
        Failure.AUTHENTICATION,
        (
            "authentication",
            "autherror",
            "tokennotfound",
            "apikey",
            "unauthorized",
            "unauthenticated",
            "unrecognizedclient",
            "expiredtoken",
            "invalidsignature",
        ),
    ),
    (Failure.BAD_REQUEST, ("extraforbidden",)),  # pydantic's word for a field it does not know
    (Failure.FORBIDDEN, ("permission", "accessdenied", "forbidden")),
    (
        Failure.NOT_FOUND,
        ("notfound", "decommissioned", "invalidmodel", "modelnotsupported", "unknownmodel"),
    ),
    (Failure.TIMEOUT, ("timeout", "timedout", "deadlineexceeded")),
]
# These say no more than a status, and count only where there is none.
_BY_VAGUE_CODE: list[tuple[Failure, tuple[str, ...]]] = [
    (Failure.BAD_REQUEST, ("invalidrequest", "badrequest", "invalidargument", "validation")),
]

# What messages say where codes do not.
_TOO_LONG = (
    "context length",
    "context window",
    "context size",
    "context limit",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input token count",
    "request too large",
    "request body too large",
    "contextwindowexceeded",
    "max context length",
    "maximum prompt length",
    "maximum model length",
    "range of input length",
    "reduce the length of the messages",
    "prompt token count",
    "model token limit",
    "prompt exceeds max length",
    "input tokens exceed",
    "`inputs` tokens",
    "tokens in the prompt cannot exceed",
    "content': string too long",
    "tokens to keep from the initial prompt",
)
_NO_CREDIT = (
    "insufficient balance",
    "insufficient credit",
    "credit balance is too low",
    "more credits",
    "exceeded current quota",
    "out of credits",
    "insufficient_quota",
    "specified api usage limits",
    "budget has been exceeded",
    "spending limit",
    "have any credits",
    "all available credits",
    "included credits",
    "credits are depleted",
)
_FILTERED = (
    "content management policy",
    "content filtering policy",
    "usage guidelines",
    "inappropriate content",
    "datainspectionfailed",
    "unsafe or sensitive",
    "new_sensitive",
    "敏感内容",
)
_BY_WORDS: list[tuple[Failure, tuple[str, ...], frozenset[int] | None]] = [
    (Failure.NO_CREDIT, _NO_CREDIT, None),
    (Failure.CONTEXT_WINDOW, ("request too large", "long context requests"), frozenset({429})),
    (Failure.CONTEXT_WINDOW, _TOO_LONG, frozenset({200, 400, 413, 422, 500})),
    (Failure.CONTENT_FILTER, _FILTERED, frozenset({200, 400, 403, 422, 451, 500})),
    (Failure.CONTENT_FILTER, ("flagged", "moderation"), frozenset({400, 403})),
    (
        Failure.GARBLED,
        ("error parsing tool call", "failed to parse input at pos"),
        frozenset({200, 400, 500}),
    ),
    (
        Failure.SERVER_ERROR,  # LM Studio says that the request was wrong
        ("model has crashed", "model unloaded", "model is unloaded", "failed to load model"),
        frozenset({400}),
    ),
    (
        Failure.NOT_FOUND,
        ("is not a valid model", "model not found", "try pulling it", "no such model"),
        frozenset({200, 400, 422, 500}),
    ),
    (Failure.AUTHENTICATION, ("api key not valid", "incorrect api key"), frozenset({200, 400})),
    (
        Failure.OVERLOADED,
        ("overloaded", "server busy", "currently loading", "loading model", "at capacity"),
        frozenset({200, 429, 500, 502}),
    ),
    (Failure.RATE_LIMIT, ("rate limit", "too many requests"), frozenset({200, 500, 502})),
]

_BEFORE_CODES = (Failure.NO_CREDIT, Failure.CONTEXT_WINDOW, Failure.CONTENT_FILTER)
"""What words tell better than codes do: xAI gives filtered content the code of missing rights."""

_BY_STATUS = {
    400: Failure.BAD_REQUEST,
    401: Failure.AUTHENTICATION,
    402: Failure.NO_CREDIT,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    408: Failure.TIMEOUT,
    409: Failure.SERVER_ERROR,
    413: Failure.CONTEXT_WINDOW,
    422: Failure.BAD_REQUEST,
    424: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    429: Failure.RATE_LIMIT,
    498: Failure.OVERLOADED,
    503: Failure.OVERLOADED,
    504: Failure.TIMEOUT,
    529: Failure.OVERLOADED,
}
NO_STATUS = 200
"""The status of an error that comes inside a good answer."""


def failure_of(status: int, text: str) -> Failure:
    """What an error is about.

    Args:
        status: HTTP status of the answer; `NO_STATUS` where the error says nothing by it.
        text: The body, or what litellm made of it.
    """
    body = _parsed(text)
    codes = [_bare(code) for code in _values(body, _CODES)]
    if status == NO_STATUS:
        status = _status_inside(body)
    words = " ".join(str(said)[:_MOST_CHARS] for said in _texts(body, text)).lower()
    return (
        _first_by_words(words, status, of=_BEFORE_CODES)
        or _first_by_code(_BY_CODE, codes)
        or _first_by_words(words, status)
        or _BY_STATUS.get(status)
        or (_first_by_code(_BY_VAGUE_CODE, codes) if status == NO_STATUS else None)
        or (Failure.NOT_FOUND if 300 <= status < 400 else None)  # no redirect is followed
        or (Failure.BAD_REQUEST if 400 <= status < 500 else Failure.SERVER_ERROR)
    )


def status_of(text: str) -> int:
    """The status that an error inside a good answer gives by number, `NO_STATUS` for none."""
    return _status_inside(_parsed(text))


def _status_inside(body: Any) -> int:
    for value in _values(body, _CODES):
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, int) and 400 <= number < 600:
            return number
    return NO_STATUS


def _first_by_code(
    table: list[tuple[Failure, tuple[str, ...]]], codes: list[str]
) -> Failure | None:
    return next(
        (failure for failure, signs in table if any(sign in c for sign in signs for c in codes)),
        None,
    )


def _first_by_words(
    words: str, status: int, of: tuple[Failure, ...] = tuple(Failure)
) -> Failure | None:
    for failure, signs, statuses in _BY_WORDS:
        fits = failure in of and (statuses is None or status in statuses)
        if fits and any(sign in words for sign in signs):
            return failure
    return None


def _parsed(text: str) -> Any:
    """The JSON of a body, or the first object in it: litellm puts words of its own before it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    start = text.find("{")
    if start < 0:
        return text
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return text


def _values(body: Any, names: frozenset[str], depth: int = 0) -> Iterator[Any]:
    """What stands under these names, also in JSON that is packed into text."""
    if depth > _DEEPEST:
        return
    if isinstance(body, str) and body.lstrip().startswith("{"):
        packed = _parsed(body)
        if not isinstance(packed, str):
            yield from _values(packed, names, depth + 1)
    elif isinstance(body, dict):
        for name, value in body.items():
            if name.lower() in names and isinstance(value, str | int):
                yield value
            yield from _values(value, names, depth + 1)
    elif isinstance(body, list):
        for value in body[:8]:
            yield from _values(value, names, depth + 1)


def _texts(body: Any, text: str) -> list[Any]:
    return [text] if isinstance(body, str) else [*_values(body, _TEXTS)]


def _bare(code: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(code)[:200].lower())
