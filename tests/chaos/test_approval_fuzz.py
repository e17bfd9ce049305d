"""Turns under control, at random: whatever clients and deaths do, nothing is stuck or unapproved.

`make fuzz` goes on for MINUTES. The seed that it prints takes the same way again with SEED=…, as
far as processes and clocks let it.
"""

import itertools
import os
import random
import time
from collections.abc import Iterator

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.fuzz.machine import Control
from tests.support.product import Product
from tests.support.provider import FakeProvider

MINUTES = float(os.environ.get("O_FUZZ_MINUTES", "0"))
SEED = int(os.environ.get("O_FUZZ_SEED") or (random.randrange(10**6) if MINUTES else 0))
_STEPS = 15
_MARGIN_S = 300

# What fails once need not fail again, so that nothing is shrunk: the trace of the failure is what
# there is. A seed by itself makes it all the same each time.
_SETTINGS = settings(
    max_examples=10,
    stateful_step_count=_STEPS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(MINUTES * 60 + _MARGIN_S)]


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    product = Product(tmp_path_factory.mktemp("fuzz") / "o", env)
    product.start()
    yield product
    product.stop()


def test_whatever_is_done_to_turns_nothing_is_stuck_or_unapproved(
    product: Product, provider: FakeProvider
) -> None:
    Control.product, Control.provider = product, provider
    deadline = time.monotonic() + MINUTES * 60
    for number in itertools.count(SEED):
        print(f"seed {number}", flush=True)  # noqa: T201
        try:
            run_state_machine_as_test(seed(number)(Control), settings=_SETTINGS)
        except Exception as error:
            error.add_note(f"again: make fuzz SEED={number}")
            raise
        if time.monotonic() >= deadline:
            return
