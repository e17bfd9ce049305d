"""What was sent and received as it may be shown: without keys and images, and cut."""

import json
import re
from typing import Any

from o.domain.text import storable_json
from o.llm.tracing import Exchange

MOST_CHARS = 256 * 1024
"""Of a request or an answer, as JSON."""

_MOST_TEXT_CHARS = 16 * 1024
"""Of one text in what is longer than that."""

_DATA_URI = re.compile(r"(data:[\w.+/-]{0,100}(?:;[\w=.+-]{1,100})*;base64,)[A-Za-z0-9+/=_-]{32,}")
_BASE64_FIELD = re.compile(r'("(?:data|b64_json|bytes)"\s*:\s*")[A-Za-z0-9+/=_-]{1024,}')
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]{1024,}")
_BASE64_NAMES = frozenset({"data", "b64_json", "bytes"})
_CREDENTIALS = re.compile(
    r"\b(?:(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{30,})"
)
_SECRET_NAMES = frozenset(
    {
        "authorization",
        "api_key",
        "api-key",
        "apikey",
        "x-api-key",
        "x-goog-api-key",
        "access_token",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    }
)
LEAST_SECRET_CHARS = 8
"""A shorter key is no secret (`x` is usual with local servers), and stands in unrelated words."""

_EVENT = ("data:", "event:", "id:", ":")
_KEY, _IMAGE = "[key]", "[left out]"


def shown_request(exchange: Exchange, secrets: set[str]) -> str:
    """The request as a JSON object of at most 256 K characters. Blocks for long ones."""
    text = exchange.request.decode("utf-8", "replace")
    if exchange.request_bytes > len(exchange.request):
        text += f"\n[{exchange.request_bytes - len(exchange.request)} bytes left out]"
    found = _parsed(text)
    return _as_object(found if isinstance(found, dict) else {"text": text}, secrets)


def shown_response(exchange: Exchange, secrets: set[str]) -> str:
    """The answer as a JSON object of at most 256 K characters.

    A good one that is an object is shown as it came; of others there is the `status`, and
    their `body`, or the events of their `stream`, or their `text`. Without one it is empty.
    """
    if exchange.status is None:
        return "{}"
    head, tail = exchange.response.parts()
    between = b""
    if not exchange.response.is_whole:
        left_out = exchange.response.length - len(head) - len(tail)
        between = b"\n[%d bytes left out]\n" % left_out
    text = (head + between + tail).decode("utf-8", "replace")
    return _as_object(_answer(exchange.status, text), secrets)


def _answer(status: int, text: str) -> dict[str, Any]:
    found = _parsed(text)
    if isinstance(found, dict) and 200 <= status < 300:
        return found
    if found is not None:
        return {"status": status, "body": found}
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith(_EVENT):
        told = [line.removeprefix("data:").strip() for line in lines if line[:1] not in ":ei"]
        return {"status": status, "stream": [_parsed(event) or event for event in told]}
    events = [_parsed(line) for line in lines]
    if len(lines) > 1 and all(isinstance(event, dict) for event in events):
        return {"status": status, "stream": events}
    return {"status": status, "text": text}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _as_object(found: dict[str, Any], secrets: set[str]) -> str:
    hidden = {secret for secret in secrets if len(secret) >= LEAST_SECRET_CHARS}
    try:
        text = json.dumps(storable_json(_redacted(found, hidden)))
        if len(text) > MOST_CHARS:
            text = json.dumps(_shortened(json.loads(text)))
    except RecursionError:
        text = json.dumps({"text": _without_secrets(str(found)[:MOST_CHARS], hidden)})
    if len(text) <= MOST_CHARS:
        return text
    kept = MOST_CHARS // 4  # quotes are escaped once more
    cut = {
        "left_out": f"{len(text) - 2 * kept} of {len(text)} characters in the middle",
        "beginning": text[:kept],
        "end": text[-kept:],
    }
    return json.dumps(cut)


def _redacted(value: Any, secrets: set[str], name: str = "") -> Any:
    match value:
        case str():
            if name.lower() in _SECRET_NAMES:
                return _KEY
            if name in _BASE64_NAMES and _BASE64.fullmatch(value):
                return f"{_IMAGE} {len(value)} characters"
            return _without_secrets(value, secrets)
        case list():
            return [_redacted(item, secrets, name) for item in value]
        case dict():
            return {key: _redacted(item, secrets, key) for key, item in value.items()}
        case _:
            return value


def _without_secrets(text: str, secrets: set[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _KEY)
    if ";base64," in text:
        text = _DATA_URI.sub(rf"\1{_IMAGE}", text)
    text = _BASE64_FIELD.sub(rf"\1{_IMAGE}", text)
    return _CREDENTIALS.sub(lambda found: f"{found[1]} {_KEY}" if found[1] else _KEY, text)


def _shortened(value: Any) -> Any:
    """Long texts with their middle left out, so that the rest of it stays readable."""
    match value:
        case str() if len(value) > _MOST_TEXT_CHARS:
            half = _MOST_TEXT_CHARS // 2
            left_out = len(value) - 2 * half
            return f"{value[:half]}[{left_out} characters left out]{value[-half:]}"
        case list():
            return [_shortened(item) for item in value]
        case dict():
            return {key: _shortened(item) for key, item in value.items()}
        case _:
            return value
