"""`python -m bench`: measures the product as a user starts it, and prints what a README quotes."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from bench import death, sandboxes, tail, workers
from bench.child import child
from bench.measure import Measured, measure
from bench.report import Findings, as_markdown
from tests.support.product import Product

_ROUNDS, _QUICK_ROUNDS = 15, 4
_SANDBOX_CALLS, _QUICK_SANDBOX_CALLS = 60, 15


def main() -> None:
    """Take all measurements, in about eight minutes. It measures and judges nothing: exits 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no deaths: a minute")
    parser.add_argument("--rounds", type=int, help=f"[{_ROUNDS}; {_QUICK_ROUNDS} with --quick]")
    options = parser.parse_args()
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="o-bench-") as folder:
        main_folder, killed_folder = Path(folder) / "main", Path(folder) / "killed"
        measured, first_s, second_s = _measure_product(main_folder, rounds, again=not options.quick)
        deaths = scaled = None
        if not options.quick:
            scaled = _measure_workers(Path(folder), rounds)
            _say("a worker's death")
            deaths = death.measure(killed_folder)
        _say("sandboxes")
        calls = _QUICK_SANDBOX_CALLS if options.quick else _SANDBOX_CALLS
        sandboxed = uvloop.run(sandboxes.measure(calls))
    found = Findings(measured, first_s, load_before, sandboxed, deaths, second_s, scaled)
    print(as_markdown(found))


def _measure_workers(folder: Path, rounds: int) -> list[workers.Scaled]:
    """Products with one worker, two and four."""
    with child("bench.provider") as (_, provider_url):
        env = {
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": provider_url,
            "O_SWEEP_INTERVAL_S": "3",
        }
        return uvloop.run(workers.measure(folder, env, max(rounds // 2, 3)))


def _measure_product(
    folder: Path, rounds: int, *, again: bool
) -> tuple[Measured, float, float | None]:
    """What a new product shows, and the seconds of its first and, with `again`, second start."""
    with child("bench.provider") as (_, provider_url):
        product = Product(
            folder / "o",
            {
                "OPENAI_API_KEY": "sk-bench",
                "OPENAI_BASE_URL": provider_url,
                # The defaults, which tests change:
                "O_SWEEP_INTERVAL_S": "3",
                "O_SANDBOX_BACKEND": "auto",
                "O_SANDBOX_POOL": "2",
                "O_LOG_LIMIT_BYTES": str(2**40),  # statements are counted in one log
            },
        )
        second_s = None
        try:
            _say("first start")
            first_s = product.start()
            turns = tail.TURNS if again else tail.QUICK_TURNS
            measured = uvloop.run(measure(product, rounds, turns))
            product.stop()
            if again:
                _say("second start")
                second_s = product.start()
        finally:
            product.stop()
    return measured, first_s, second_s


def _say(what: str) -> None:
    print(f"measuring: {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
