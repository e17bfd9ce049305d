"""The kill matrix: each point with each process, all of it or a sample that a seed chooses."""

import os
import random
from itertools import product

from tests.chaos import scenarios
from tests.chaos.scenarios import Scenario

PROCESSES = ("worker", "api", "temporal", "postgres", "supervisor")

CORE: dict[str, type[Scenario]] = {
    "run-stored": Scenario,
    "model-called-2": Scenario,
    "step-committed-1": Scenario,
    "tool-committed-2": Scenario,
    "run-closed": Scenario,
}
"""Points that every run of the tests takes with every process."""

OTHERS: dict[str, type[Scenario]] = {
    "request-parsed": Scenario,
    "update-handled": Scenario,
    "update-answered": Scenario,
    "step-begun-0": Scenario,
    "step-opened": Scenario,
    "prompt-built": Scenario,
    "tokens-coming": scenarios.TokenStream,
    "model-replied": Scenario,
    "tool-begun-0": Scenario,
    "tool-done": Scenario,
    "tool-begun-1": scenarios.TwoTools,
    "step-uncommitted-4": Scenario,
    "close-begun": scenarios.MaxSteps,
    "close-committed": scenarios.Failure,
    "stream-relayed": scenarios.TokenStream,
    "handing-over": scenarios.HandOver,
    "sweeping": scenarios.Sweep,
    "agent-stored": scenarios.AgentCreation,
    "block-changed": scenarios.BlockEdit,
}

MODEL_AT_STAKE = frozenset(
    {
        "update-answered",
        "step-begun-0",
        "step-opened",
        "prompt-built",
        "model-called-2",
        "tokens-coming",
        "stream-relayed",
        "model-replied",
        "step-uncommitted-4",
    }
)
"""Points at which a step may be open, so that a death may cost the provider one more request."""

Cell = tuple[str, str]
_SAMPLE = 14

WHOLE = os.environ.get("O_KILL_MATRIX") == "all"
SEED = int(os.environ.get("O_KILL_SEED") or random.SystemRandom().randrange(10_000))


def cells() -> list[Cell]:
    """What this run of the tests takes, as (point, process)."""
    core = list(product(CORE, PROCESSES))
    if WHOLE:
        return core + list(product(OTHERS, PROCESSES))
    return core + sample(SEED)


def sample(seed: int) -> list[Cell]:
    """Different points, and each process about equally often; the same for the same seed."""
    chance = random.Random(seed)
    points = chance.sample(sorted(OTHERS), _SAMPLE)
    start = chance.randrange(len(PROCESSES))
    return [(point, PROCESSES[(start + n) % len(PROCESSES)]) for n, point in enumerate(points)]


def scenario_of(point: str) -> type[Scenario]:
    """What a client does at that point."""
    return (CORE | OTHERS)[point]
