"""Failures that providers tell of in an answer whose status is 200, each in its own way."""

from typing import Any

from o.errors import ModelError
from o.llm.failures import refused_inside
from o.llm.providers.providers import Provider

_SAYS_WHY = ("message", "msg", "detail", "error_msg", "error_message", "errors")

# HTTP statuses of MiniMax's codes, which are its own.
_MINIMAX = {1001: 504, 1002: 429, 1004: 401, 1008: 402, 1039: 429, 2013: 400}


def failure_in(body: Any) -> Any:
    """What an answer without a reply says of its failure, None where it tells of none.

    Gemini puts it into a list, vLLM and LiteLLM leave out what is around it, MiniMax says it in
    `base_resp`, and web frameworks in `detail`.

    Args:
        body: The JSON of an answer, or of a chunk, that has no choices.
    """
    if isinstance(body, list):
        return next((found for item in body if (found := failure_in(item))), None)
    if not isinstance(body, dict):
        return None
    told = body.get("error") or _minimax(body.get("base_resp"))
    return told or (body if _is_failure(body) else None)


def _is_failure(body: dict[str, Any]) -> bool:
    """Whether the whole of an answer is what others put under `error`."""
    if "error" in (body.get("object"), body.get("type")):
        return True
    is_reply = any(body.get(name) is not None for name in ("choices", "usage", "id"))
    return not is_reply and any(body.get(name) for name in _SAYS_WHY)


def _minimax(told: Any) -> dict[str, Any] | None:
    code = told.get("status_code") if isinstance(told, dict) else None
    if not isinstance(code, int) or code == 0:
        return None
    return {"code": _MINIMAX.get(code, 500), "message": told.get("status_msg")}


def unreadable(provider: Provider, text: bytes, wanted: str) -> ModelError:
    """What a text is that should be JSON and is none.

    JSON that is cut off may be whole the next time, a page would come again. Anything else is what
    the provider says in plain words of a failure.

    Args:
        provider: Whose it is.
        text: Of an answer, or of an event.
        wanted: What it should have been.
    """
    begun = text.lstrip()
    if begun and not begun.startswith((b"{", b"[", b"<")):
        return refused_inside(provider, text.decode("utf-8", "replace"))
    return ModelError(
        "llm_error",
        f"The provider {provider.name} answered with no {wanted}.",
        detail="it is no JSON",
        retryable=not begun.startswith(b"<"),
    )
