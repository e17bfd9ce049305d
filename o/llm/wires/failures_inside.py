"""Failures that providers tell of in an answer whose status is 200, each in its own way."""

from typing import Any

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
