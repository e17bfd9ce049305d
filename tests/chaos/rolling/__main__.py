"""`python -m tests.chaos.rolling`: each part is restarted twice in turn, while agents talk.

Ends by itself with a report; the exit status is 1 when a promise was broken.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

from tests.chaos.rolling.rig import Rig
from tests.chaos.rolling.talkers import Crowd
from tests.chaos.soak.audit import broken_promises
from tests.support.product import eventually
from tests.support.provider import FakeProvider

_ROUNDS = 2


def roll(rig: Rig, crowd: Crowd, minutes: float) -> list[str]:
    """Restart everything in turn, evenly over the time; answers what was broken."""
    turns = [name for _ in range(_ROUNDS) for name in rig.parts]
    began = time.monotonic()
    crowd.start()
    for n, name in enumerate(turns, start=1):
        ended_s = rig.restart(name)
        crowd.goes_on()
        told = f"{time.monotonic() - began:5.0f} s  {name} again; it ended in {ended_s:.1f} s"
        print(told, flush=True)
        due = began + 60 * minutes * n / len(turns)
        time.sleep(max(0.0, due - time.monotonic()))
    broken = crowd.stop()
    statement = "SELECT count(*) FROM runs WHERE status IN ('created', 'running')"
    eventually(lambda: rig.product.query(statement) == [(0,)], within_s=120, what="rest")
    return broken + broken_promises(rig.product, crowd.said)


def report(crowd: Crowd, broken: list[str], provider: FakeProvider) -> None:
    """Print what came of it."""
    said = crowd.said
    waits = sorted(one.took_s for one in said) or [0.0]
    p99 = waits[int(0.99 * (len(waits) - 1))]
    outcomes = Counter(one.outcome or "no answer" for one in said)
    print(f"turns: {len(said)} ({', '.join(f'{n} {what}' for what, n in outcomes.items())})")
    statuses = sorted(crowd.met.statuses.items())
    print(f"answers by status: {', '.join(f'{status}: {n}' for status, n in statuses)}")
    print(f"streams that were cut and read on: {crowd.met.cuts}")
    print(f"doubled: {sum(line.startswith('doubled') for line in broken)}")
    print(f"invalid prompts: {len(provider.problems)}")
    print(f"waits: median {median(waits):.2f} s, p99 {p99:.1f} s, longest {waits[-1]:.1f} s")
    for line in broken[:40]:
        print(f"BROKEN  {line}")
    print("every promise was kept" if not broken else f"{len(broken)} promises were broken")


def main() -> None:
    """Roll, print what came of it, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--agents", type=int, default=20)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    provider = FakeProvider()
    provider.start()
    with tempfile.TemporaryDirectory(prefix="o-rolling-") as folder:
        rig = Rig(Path(folder), provider)
        try:
            rig.start()
            crowd = Crowd(rig.product, options.agents)
            broken = roll(rig, crowd, options.minutes)
            broken += [f"an invalid prompt: {what}" for what in provider.problems]
            report(crowd, broken, provider)
        finally:
            rig.stop()
            provider.stop()
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
