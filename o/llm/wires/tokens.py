"""What a reply cost, as providers tell it: in many spellings, and not always all of it."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from o.domain.runs import Usage

_MOST = 10**12
"""Beyond what any call may take, whether in tokens or in dollars: the number is a mistake."""

_NANO = 1_000_000_000
_TICKS_A_DOLLAR = 10_000_000_000  # of xAI's `cost_in_usd_ticks`


def _number(value: Any) -> float | None:
    """A number that can be one of tokens or dollars; some servers write it as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _object(value: Any) -> Any:
    """An object, or nothing in place of what is none."""
    return None if isinstance(value, str | int | float | list) else value


Count = Annotated[int | None, BeforeValidator(_count)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", from_attributes=True)


class _Details(_Lenient):
    """Of a prompt or a completion; OpenRouter and OpenAI's newest models tell cache writes."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_creation_tokens: Count = None
    reasoning_tokens: Count = None


_OptionalDetails = Annotated[_Details | None, BeforeValidator(_object)]
_NONE = _Details()


class Tokens(_Lenient):
    """The object `usage`, in the words of the OpenAI wire and of those that differ from it."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _OptionalDetails = None
    completion_tokens_details: _OptionalDetails = None
    # OpenAI's responses, mlx-vlm, Anthropic's own.
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _OptionalDetails = None
    output_tokens_details: _OptionalDetails = None
    # Anthropic's, DeepSeek's, Moonshot's, Perplexity's.
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    reasoning_tokens: Count = None
    # OpenRouter's (a number), Perplexity's (an object), xAI's.
    cost: Any = None
    cost_details: Any = None
    is_byok: Any = None
    cost_in_usd_ticks: Any = None


def usage_of(tokens: Tokens | None) -> Usage:
    """What a reply cost, as far as the provider says; zeros where it says nothing.

    What was cached is part of the prompt here, and reasoning part of the completion, also where
    the provider counts them apart.
    """
    if tokens is None:
        return Usage()
    prompt = tokens.prompt_tokens_details or tokens.input_tokens_details or _NONE
    completion = tokens.completion_tokens_details or tokens.output_tokens_details or _NONE
    cached = _first(
        prompt.cached_tokens,
        tokens.cache_read_input_tokens,
        tokens.prompt_cache_hit_tokens,
        tokens.cached_tokens,
    )
    stored = _first(
        tokens.cache_creation_input_tokens, prompt.cache_write_tokens, prompt.cache_creation_tokens
    )
    thought = _first(completion.reasoning_tokens, tokens.reasoning_tokens)
    asked = _first(tokens.prompt_tokens, tokens.input_tokens)
    written = _first(tokens.completion_tokens, tokens.output_tokens)
    total = tokens.total_tokens or 0
    if _is_without_cache(tokens, asked, cached + stored, total - asked - written):
        asked += cached + stored
    if thought > written:  # xAI and Gemini count it beside the completion
        written += thought
    if asked:  # what the total holds beyond both was thought
        written = max(written, total - asked)
    return Usage(
        prompt_tokens=asked,
        completion_tokens=written,
        total_tokens=max(total, asked + written),
        cached_input_tokens=cached,
        cache_write_tokens=stored,
        reasoning_tokens=thought,
        cost_nano=_cost_nano(tokens),
    )


def joined(earlier: Usage, later: Usage) -> Usage:
    """What two chunks of one stream say: the later one counts, but for what it does not know.

    Usage that comes with each chunk is the sum up to there, so nothing is added up. Some servers
    tell the prompt at the beginning and the completion at the end, some end with zeros.
    """
    told = {name: value for name, value in later if value}
    both = earlier.model_copy(update=told)
    least = both.prompt_tokens + both.completion_tokens
    return both.model_copy(update={"total_tokens": max(both.total_tokens, least)})


def _first(*counts: int | None) -> int:
    """The first that is told and not zero: some servers fill in zeros beside what they mean."""
    return next(filter(None, counts), 0)


def _is_without_cache(tokens: Tokens, asked: int, cache: int, beyond: int) -> bool:
    """Whether the prompt is counted without what was read from the cache or written to it.

    Args:
        tokens: What was told.
        asked: The prompt, as it was told.
        cache: What was read or written.
        beyond: What the total holds beyond prompt and completion.
    """
    if not cache:
        return False
    is_anthropic = tokens.prompt_tokens is None and (
        tokens.cache_read_input_tokens is not None or tokens.cache_creation_input_tokens is not None
    )
    return is_anthropic or cache > asked or cache == beyond


def _cost_nano(tokens: Tokens) -> int | None:
    """What the provider says it charged, None where it says nothing."""
    if (ticks := _number(tokens.cost_in_usd_ticks)) is not None:
        return round(ticks * _NANO / _TICKS_A_DOLLAR)
    said = tokens.cost.get("total_cost") if isinstance(tokens.cost, dict) else tokens.cost
    if (dollars := _number(said)) is None or not math.isfinite(dollars):
        return None
    if tokens.is_byok is True and isinstance(tokens.cost_details, dict):
        # Called with the operator's own key: OpenRouter's fee, and what is paid behind it.
        dollars += _number(tokens.cost_details.get("upstream_inference_cost")) or 0
    return round(dollars * _NANO)
