"""`python -m tests.chaos.soak`: clients talk while processes die, and nothing may be lost.

Ends by itself with a report; the exit status is 1 when a promise was broken.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

import psutil

from tests.chaos.soak.audit import broken_promises, rows_by_table
from tests.chaos.soak.clients import Kind, Said, Talker, Thread
from tests.chaos.soak.growth import Growth, short_retention
from tests.chaos.soak.sizes import sample, table_of
from tests.chaos.soak.waiting import Guard, Queuer
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider

_KINDS: tuple[Kind, ...] = (
    *("json", "json", "tool", "tool", "steps", "tokens"),
    *("approval", "approval", "queue"),
)
_TALKERS: dict[Kind, type[Talker]] = {"approval": Guard, "queue": Queuer}
_SHARING: tuple[Kind, ...] = ("json", "tool")
"""These two talk to the same agents."""
_WEIGHTS = {
    "worker-1": 4,
    "worker-2": 4,
    "api": 5,
    "temporal": 3,
    "postgres": 3,
    "fork-server": 1,
    "supervisor": 1,
}
_CALM_S = 120.0
_SAMPLE_EVERY_S = 30.0


class Soak:
    """One run of it."""

    def __init__(self, product: Product, provider: FakeProvider, seed: int) -> None:
        self._product = product
        self._provider = provider
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._kills: Counter[str] = Counter()
        together = Thread()
        kinds = [(kind, Thread()) for kind in _KINDS] + [(kind, together) for kind in _SHARING]
        self._talkers = [
            _TALKERS.get(kind, Talker)(product, f"{kind} {n}", kind, thread, self._stop, str(seed))
            for n, (kind, thread) in enumerate(kinds)
        ]

    def run(self, minutes: float, every_s: float) -> list[str]:
        """Let them talk and die, then calm down and look; answers what was broken."""
        before = rows_by_table(self._product)
        began = time.monotonic()
        samples = [sample(self._product, began, 0)]
        for talker in self._talkers:
            talker.start()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(every_s)
            self._kill_one()
            self._provider.prompts.clear()  # the problems in them are counted already
            _say(f"{sum(self._kills.values())} kills, {len(self._said())} messages")
            if time.monotonic() - began > samples[-1].at_s + _SAMPLE_EVERY_S:
                samples.append(sample(self._product, began, len(self._said())))
        self._stop.set()
        broken = self._calm_down()
        broken += broken_promises(self._product, self._said())
        broken += [f"{n} prompts were invalid: {what}" for what, n in self._problems().items()]
        broken += [
            f"{talker.name}: {trouble}" for talker in self._talkers for trouble in talker.troubles
        ]
        orphans = orphans_of(self._product)
        broken += [f"orphaned: {orphan}" for orphan in orphans]
        self._report(before, broken, len(orphans))
        samples.append(sample(self._product, began, len(self._said())))
        print("\n".join(table_of(samples)))
        return broken

    def _kill_one(self) -> None:
        alive = {name for name, pid in self._product.state["processes"].items() if pid}
        names = [name for name in _WEIGHTS if name in alive or name == "supervisor"]
        name = self._chance.choices(names, [_WEIGHTS[name] for name in names])[0]
        self._product.kill(name)
        self._kills[name] += 1
        if name == "supervisor":
            self._product.start()

    def _calm_down(self) -> list[str]:
        """Everybody gets an answer, and every run is finished."""
        deadline = time.monotonic() + _CALM_S
        for talker in self._talkers:
            talker.join(max(0.1, deadline - time.monotonic()))
        waiting = [f"{talker.name} waits for ever" for talker in self._talkers if talker.is_alive()]
        statement = "SELECT count(*) FROM runs WHERE status IN ('created', 'running')"
        try:
            eventually(lambda: self._product.query(statement) == [(0,)], within_s=60, what="rest")
        except AssertionError:
            waiting.append(f"{self._product.query(statement)[0][0]} runs never was finished")
        wrong = (one for one in self._said() if one.outcome not in ("answered", "cut"))
        return waiting + [f"{one.kind}: {one.outcome or 'no answer'}" for one in wrong]

    def _said(self) -> list[Said]:
        return [one for talker in self._talkers for one in list(talker.said)]

    def _problems(self) -> Counter[str]:
        return Counter(self._provider.problems)

    def _report(self, before: dict[str, int], broken: list[str], orphans: int) -> None:
        said = self._said()
        outcomes = Counter(one.outcome.partition(":")[0] or "no answer" for one in said)
        waits = sorted(one.took_s for one in said) or [0.0]
        doubled = sum(line.startswith("doubled") for line in broken)
        lost = sum(line.startswith(("lost", "unanswered")) for line in broken)
        agents = sum(len(talker.made) for talker in self._talkers)
        print(f"kills: {sum(self._kills.values())} ({_listed(self._kills)})")
        print(f"turns: {len(said)} with {agents} agents ({_listed(outcomes)})")
        print(
            f"doubled: {doubled}   lost: {lost}   invalid prompts: {len(self._provider.problems)}"
        )
        print(f"orphaned processes: {orphans}")
        p99 = waits[int(0.99 * (len(waits) - 1))]
        print(f"waits: median {median(waits):.2f} s, p99 {p99:.1f} s, longest {waits[-1]:.1f} s")
        after = rows_by_table(self._product)
        print("rows: " + ", ".join(f"{t} {before.get(t, 0)} → {n}" for t, n in after.items()))
        for line in broken[:40]:
            print(f"BROKEN  {line}")
        print("every promise was kept" if not broken else f"{len(broken)} promises were broken")


def orphans_of(product: Product) -> list[str]:
    """Processes that work on the product's data and are not under its supervisor."""
    family = {process.pid for process in product.tree()}
    found = []
    for process in psutil.process_iter():
        if process.pid in family:
            continue
        try:
            files = [file.path for file in process.open_files()]
            told = " ".join(
                [process.cwd(), *process.cmdline(), *process.environ().values(), *files]
            )
            if str(product.data_dir) in told:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except (psutil.Error, OSError):
            continue
    return found


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _say(what: str) -> None:
    print(f"\r{what} ", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Soak, print what came of it, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between kills [2]")
    parser.add_argument("--seed", type=int, help="chooses whom to kill [by chance]")
    parser.add_argument(
        "--turns", type=int, help="take so many turns, kill nobody, and look at what grows"
    )
    parser.add_argument(
        "--keep-s", type=float, default=60.0, help="with --turns: how long what is old is kept [60]"
    )
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.turns:
        print(f"growth: {options.turns} turns, what is old goes after {options.keep_s:g} s")
    else:
        print(f"soak: {options.minutes:g} minutes, a kill every {options.every:g} s, SEED={seed}")
    provider = FakeProvider()
    provider.start()
    with tempfile.TemporaryDirectory(prefix="o-soak-") as folder:
        env = {"OPENAI_API_KEY": "sk-soak", "OPENAI_BASE_URL": provider.url}
        more = short_retention(options.keep_s) if options.turns else {}
        product = Product(Path(folder) / "o", env | more | {"O_SWEEP_INTERVAL_S": "3"})
        try:
            product.start()
            if options.turns:
                at_most_s = 60 * options.minutes
                broken = Growth(product, provider).run(options.turns, at_most_s=at_most_s)
                print("\n".join(f"BROKEN  {line}" for line in broken) or "nothing grows")
            else:
                broken = Soak(product, provider, seed).run(options.minutes, options.every)
        finally:
            product.stop()
            provider.stop()
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
