"""The text of an answer, or of an event, as a completion, however far from the book it is."""

import json
import re
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from o.domain.json_bounds import check_json_text
from o.domain.text import storable_json
from o.errors import ModelError
from o.llm.failures import BROKEN_OFF, refused_inside
from o.llm.providers.providers import Provider
from o.llm.wires.chat import Completion
from o.llm.wires.failures_inside import failure_in, unreadable
from o.llm.wires.server_sent_events import Event

DONE = b"[DONE]"
_BROKEN_OFF = ("error", "insufficient_system_resource", "network_error", "abort", "aborted")
"""Reasons for the end of a reply that is none: a failure of the server's (the second is DeepSeek's,
the third Z.ai's, the others SGLang's and vLLM's)."""

_ENDS = (b"[done]", b'"[done]"', b"done", b"[end]")
_FRAMED_AGAIN = re.compile(rb"\A\s*(?:data:\s*)+")
_SIGNS_OF_LIFE = (b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive")


def texts_of(event: Event) -> list[bytes]:
    """The texts of an event that say something: one, as a rule."""
    lines = event.lines
    if any(_FRAMED_AGAIN.match(line) for line in lines):  # by a framework: they were framed before
        lines = [_FRAMED_AGAIN.sub(b"", line).strip() for line in lines]
    whole = b"\n".join(lines).strip()
    if not whole or whole == b"null" or event.name.lower() in _SIGNS_OF_LIFE:
        return []
    if whole.lower() in _ENDS:
        return [DONE]
    if len(lines) == 1 or _is_json(whole):
        return [whole]
    # Some servers put no blank line between events, so that they look like one.
    return [line.strip() for line in lines if line.strip()]


def lines_in(body: bytes) -> list[bytes]:
    """The lines of a body where each is JSON: some servers stream so. None of one that is whole."""
    first, _, rest = body.partition(b"\n")
    if not rest.strip() or not _is_json(first):
        return []
    return [line for line in body.splitlines() if line.strip()]


def completion_of(provider: Provider, content: bytes, *, is_error: bool = False) -> Completion:
    """The completion that a text is.

    Args:
        provider: Whose it is.
        content: The text.
        is_error: Whether it is known to tell of a failure.

    Raises:
        ModelError: It tells of a failure, or is none.
        JsonOutOfBounds: It is nested beyond measure.
    """
    check_json_text(content)
    try:
        completion = Completion.model_validate_json(content)
    except ValidationError:
        completion = _read_leniently(provider, content)
    if (error := _failure_of(completion, content, is_error=is_error)) is not None:
        raise refused_inside(provider, error)
    return completion


def _failure_of(completion: Completion, content: bytes, *, is_error: bool) -> Any:
    """What it tells of a failure, whichever way; None as a rule."""
    if completion.error:
        return completion.error
    if not completion.choices:
        if completion.usage is not None and not is_error:
            return None
        body = None
        with suppress(ValueError):  # a number of thousands of digits
            body = _json_of(content)
        return failure_in(body) or (body if is_error else None)
    choice = completion.choices[0]
    if choice.error:
        return choice.error
    if choice.finish_reason not in _BROKEN_OFF:
        return None
    return {"message": BROKEN_OFF, "code": choice.finish_reason}


def _json_of(content: bytes) -> Any:
    return json.loads(content.decode("utf-8", "replace"), strict=False)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_leniently(provider: Provider, content: bytes) -> Completion:
    """The same of what is not quite JSON: half a surrogate pair, bytes that are not UTF-8, NaN."""
    try:
        found = storable_json(_json_of(content))
        if (told := failure_in(found)) is not None:
            raise refused_inside(provider, told)
        return Completion.model_validate(found)
    except ValidationError as error:
        raise ModelError(
            "llm_error",
            f"The provider {provider.name} answered with no chat completion.",
            detail=f"{error.error_count()} fields are not as they should be",
        ) from None
    except (ValueError, RecursionError):
        raise unreadable(provider, content, "chat completion") from None
