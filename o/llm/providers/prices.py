"""What models cost: the operator's own prices, and those that litellm's package has as data.

The table is read without litellm, which would take 180 MB: of its 3 MB, about one stays. It is read
when a call is to be priced whose price is not known otherwise, so processes that price nothing
never read it.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple, TypeGuard

from o.domain.runs import Usage
from o.llm.providers.price_names import candidates, is_free, is_of
from o.llm.providers.providers import Provider
from o.price_file import OwnPrice

_TABLE = "model_prices_and_context_window_backup.json"
_MODES = ("chat", "responses", "completion", None)
_BETWEEN = re.compile(r"[\s,:]*")
_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_NANO = 1_000_000_000


class Rates(NamedTuple):
    """US dollars a token; None where it is that of other tokens of its kind.

    Attributes:
        above: Prompts of more tokens than this are priced so, in all their parts.
    """

    above: int
    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None


class Price(NamedTuple):
    """What a model costs.

    Attributes:
        vendor: Whose price it is, in litellm's words.
        rates: By the length of the prompt, the shortest first.
        context_window: Tokens that a prompt may have, None where it is not told.
    """

    vendor: str
    rates: tuple[Rates, ...]
    context_window: int | None = None


_FREE = Price("", (Rates(0, 0.0, 0.0),))


class Prices:
    """What the models of all providers cost, as far as it is known."""

    def __init__(self, own: Mapping[str, OwnPrice] | None = None) -> None:
        """Keep the operator's own prices, by handle or `<provider name>/*`; they go first."""
        self._own = {handle: _of_operator(price) for handle, price in (own or {}).items()}

    def find(self, provider: Provider, model: str) -> Price | None:
        """The price of a provider's model, None where it is not known."""
        if (own := self._own_price(provider, model)) is not None:
            return own
        if is_free(provider, model):
            return _FREE
        table = _table()
        for name in candidates(provider, model):
            price = table.get(name)
            if price is not None and is_of(provider, price.vendor):
                return price
        return None

    async def cost_nano(self, provider: Provider, model: str, usage: Usage) -> int | None:
        """What a call cost, in billionths of a US dollar; None where it is not known.

        What the provider says it charged (`usage.cost_nano`) goes before prices, but for the
        operator's own. Some say zero for what they do not know; it counts where no price does.
        """
        said = usage.cost_nano
        is_own = self._own_price(provider, model) is not None
        if said and not is_own:
            return said
        if not is_own and not is_free(provider, model):
            await _read_once()
        price = self.find(provider, model)
        tells_tokens = usage.prompt_tokens or usage.completion_tokens
        if price is None or not (tells_tokens or price is _FREE):
            return said
        return cost_nano(price, usage)

    def _own_price(self, provider: Provider, model: str) -> Price | None:
        return self._own.get(f"{provider.name}/{model}") or self._own.get(f"{provider.name}/*")


def _of_operator(own: OwnPrice) -> Price:
    def of_one(dollars: float | None) -> float | None:
        return None if dollars is None else dollars / 1_000_000

    rates = Rates(
        0,
        own.input / 1_000_000,
        own.output / 1_000_000,
        of_one(own.cached_input),
        of_one(own.cache_write),
        of_one(own.reasoning),
    )
    return Price("", (rates,))


def cost_nano(price: Price, usage: Usage) -> int:
    """Billionths of a US dollar: what was cached is part of the prompt, thought of the reply."""
    rates = [rates for rates in price.rates if usage.prompt_tokens > rates.above]
    at = rates[-1] if rates else price.rates[0]
    cached, stored = usage.cached_input_tokens, usage.cache_write_tokens
    dollars = (
        max(0, usage.prompt_tokens - cached - stored) * at.input
        + cached * (at.input if at.cached is None else at.cached)
        + stored * (at.input if at.cache_write is None else at.cache_write)
        + max(0, usage.completion_tokens - usage.reasoning_tokens) * at.output
        + usage.reasoning_tokens * (at.output if at.reasoning is None else at.reasoning)
    )
    return round(dollars * _NANO)


@cache
def _table() -> dict[str, Price]:
    """Prices of litellm's table that are by token; empty where the package holds none."""
    package = find_spec("litellm")  # which does not import it
    places = package.submodule_search_locations if package else None
    path = Path(places[0], _TABLE) if places else None
    if path is None or not path.is_file():
        return {}
    found = ((name, _price(entry)) for name, entry in _entries(path.read_text("utf-8")))
    return {name: price for name, price in found if price is not None}


async def _read_once() -> None:
    """Read the table in a thread: that takes a tenth of a second, and other calls go on."""
    if not _table.cache_info().currsize:
        await asyncio.to_thread(_table)


def _entries(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The members of a JSON object one by one, so that they are not all in memory."""
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    while True:
        at = _after_space(text, at)
        if text[at] == "}":
            return
        name, at = decoder.raw_decode(text, at)
        entry, at = decoder.raw_decode(text, _after_space(text, at))
        yield name, entry


def _after_space(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _price(entry: dict[str, Any]) -> Price | None:
    if entry.get("mode") not in _MODES:
        return None
    rates = sorted(_all_rates(entry))
    if not rates:
        return None
    window = entry.get("max_input_tokens")
    return Price(
        intern(str(entry.get("litellm_provider") or "")),
        tuple(rates),
        window if isinstance(window, int) else None,
    )


def _all_rates(entry: dict[str, Any]) -> Iterator[Rates]:
    if _is_price(entry.get("input_cost_per_token")):
        yield _rates(entry, 0, "")
        for name in entry:
            if found := _ABOVE.fullmatch(name):
                yield _rates(entry, int(found[1]) * 1_000, f"_above_{found[1]}k_tokens")
    for tier in entry.get("tiered_pricing") or ():
        if _is_price(tier.get("input_cost_per_token")):
            yield _rates(tier, int((tier.get("range") or [0])[0]), "")


def _rates(entry: dict[str, Any], above: int, suffix: str) -> Rates:
    def read(name: str) -> float | None:
        value = entry.get(name + suffix, entry.get(name))
        return value if _is_price(value) else None

    return Rates(
        above,
        read("input_cost_per_token") or 0.0,
        read("output_cost_per_token") or 0.0,
        read("cache_read_input_token_cost"),
        read("cache_creation_input_token_cost"),
        read("output_cost_per_reasoning_token"),
    )


def _is_price(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
