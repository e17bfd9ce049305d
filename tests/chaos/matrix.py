"""The kill matrix: each case with each process, all of it or a sample that a seed chooses.

A case is a point, reached by the turn of five steps or by what stands beside it here; where another
client comes by the same point, its name goes before: `queue:model-called-2`.
"""

import os
import random
from itertools import product

from tests.chaos import scenarios, waiting
from tests.chaos.scenarios import Scenario

PROCESSES = ("worker", "api", "temporal", "postgres", "supervisor")

CORE: dict[str, type[Scenario]] = {
    "run-stored": Scenario,
    "model-called-2": Scenario,
    "step-committed-1": Scenario,
    "tool-committed-2": Scenario,
    "run-closed": Scenario,
    "request:step-committed-0": waiting.Request,
    "answer:tool-committed-0": waiting.Answer,
    "queue:model-called-2": waiting.Queue,
}
"""Cases that every run of the tests takes with every process."""

OTHERS: dict[str, type[Scenario]] = {
    "request-parsed": Scenario,
    "turn-taken": Scenario,
    "run-signalled": Scenario,
    "step-begun-0": Scenario,
    "step-opened": Scenario,
    "prompt-built": Scenario,
    "tokens-coming": scenarios.TokenStream,
    "model-failed": scenarios.AnotherModel,
    "model-given-up": scenarios.AnotherModel,
    "model-replied": Scenario,
    "room-wanted": scenarios.Compaction,
    "summary-written": scenarios.Compaction,
    "room-uncommitted": scenarios.Compaction,
    "room-made": scenarios.Compaction,
    "tool-begun-0": Scenario,
    "tool-done": Scenario,
    "tool-begun-1": scenarios.TwoTools,
    "tool-started": scenarios.CustomTool,
    "return-alone": scenarios.CustomTool,
    "step-uncommitted-4": Scenario,
    "close-begun": scenarios.MaxSteps,
    "close-committed": scenarios.Failure,
    "stream-relayed": scenarios.TokenStream,
    "handing-over": scenarios.HandOver,
    "sweeping": scenarios.Sweep,
    "agent-stored": scenarios.AgentCreation,
    "block-changed": scenarios.BlockEdit,
    "request:step-uncommitted-0": waiting.Request,
    "answer:run-stored": waiting.Answer,
    "answer:answer-begun": waiting.Answer,
    "answer:answer-settled": waiting.Answer,
    "answer:tool-begun-0": waiting.Answer,
    "answer:tool-done": waiting.Answer,
    "denial:answer-begun": waiting.Denial,
    "denial:answer-settled": waiting.Denial,
    "verdict-begun": waiting.Verdict,
    "verdict-recorded": waiting.Verdict,
    "expiry-stored": waiting.Expiry,
    "cancel-stored": waiting.Cancel,
    "cancel-begun": waiting.Cancel,
    "cancel-done": waiting.Cancel,
    "request:cancel-stored": waiting.CancelledRequest,
    "request:cancel-done": waiting.CancelledRequest,
    "interrupt:cancel-stored": waiting.Interrupt,
    "queue:turn-taken": waiting.Queue,
    "queue:step-committed-4": waiting.Queue,
    "load:handing-over": waiting.Load,
}

MODEL_AT_STAKE = frozenset(
    {
        "run-signalled",
        "step-begun-0",
        "step-opened",
        "prompt-built",
        "model-called-2",
        "model-failed",
        "tokens-coming",
        "stream-relayed",
        "model-replied",
        "step-uncommitted-0",
        "step-uncommitted-4",
    }
)
"""Points at which a step may be open, so that a death may cost the provider one more request."""

Cell = tuple[str, str]
_SAMPLE = 18

WHOLE = os.environ.get("O_KILL_MATRIX") == "all"
SEED = int(os.environ["O_KILL_SEED"])


def cells() -> list[Cell]:
    """What this run of the tests takes, as (case, process)."""
    core = list(product(CORE, PROCESSES))
    if WHOLE:
        return core + list(product(OTHERS, PROCESSES))
    return core + sample(SEED)


def whole_only(*cells: Cell) -> list[Cell]:
    """Cells that are left to whoever asks for all of them."""
    return list(cells) if WHOLE else []


def sample(seed: int) -> list[Cell]:
    """Different cases, and each process about equally often; the same for the same seed."""
    chance = random.Random(seed)
    cases = chance.sample(sorted(OTHERS), _SAMPLE)
    start = chance.randrange(len(PROCESSES))
    return [(case, PROCESSES[(start + n) % len(PROCESSES)]) for n, case in enumerate(cases)]


def scenario_of(case: str) -> type[Scenario]:
    """What a client does in that case."""
    return (CORE | OTHERS)[case]


def point_of(case: str) -> str:
    """The point at which the process dies."""
    return case.rpartition(":")[2]
