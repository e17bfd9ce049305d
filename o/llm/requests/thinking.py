"""How much a model is to think, from V1's settings of its type of provider; nothing unless set."""

from typing import Any

from o.llm.requests.fitted import FittedRequest

_LEAST_BUDGET = 1_024
"""Tokens; Anthropic refuses less."""

_BOUND_BY_THINKING = ("temperature", "top_p")  # Anthropic refuses them beside it


def thinking_fields(fitted: FittedRequest) -> dict[str, Any]:
    """What a request says of thinking, in the words of its wire (litellm's where it goes there)."""
    settings = fitted.settings
    match fitted.takes.thinks_by:
        case "effort":
            effort = _part(settings, "reasoning").get("reasoning_effort")
            return {"reasoning_effort": effort} if effort and effort != "none" else {}
        case "budget":
            return _by_budget(fitted)
        case "config":
            config = _part(settings, "thinking_config")
            if not config.get("include_thoughts"):
                return {}
            budget = config.get("thinking_budget") or _LEAST_BUDGET
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case "switch":
            kind = _part(settings, "thinking").get("type")
            return {"thinking": {"type": kind}} if kind in ("enabled", "disabled") else {}
    return {}


def without_what_thinking_forbids(fields: dict[str, Any], fitted: FittedRequest) -> dict[str, Any]:
    """The fields without those that Anthropic refuses beside thinking."""
    if fitted.takes.thinks_by != "budget" or "thinking" not in fields:
        return fields
    return {name: value for name, value in fields.items() if name not in _BOUND_BY_THINKING}


def _by_budget(fitted: FittedRequest) -> dict[str, Any]:
    """Anthropic's: less than the whole reply may have, and never where a call is forced."""
    thinking = _part(fitted.settings, "thinking")
    if thinking.get("type") != "enabled" or fitted.tool_choice is not None:
        return {}
    budget = max(_LEAST_BUDGET, int(thinking.get("budget_tokens") or 0))
    most = fitted.settings.get("max_output_tokens")
    if most is not None and most <= budget:
        budget = most - 1
    if budget < _LEAST_BUDGET:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _part(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}
