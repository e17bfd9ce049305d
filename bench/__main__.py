"""`python -m bench`: measures the product as a user starts it, and prints what a README quotes."""

import os
import signal
import sys
import tempfile
from pathlib import Path

from bench import death, overhead
from bench.child import child
from bench.report import Findings, as_markdown
from tests.support.product import Product


def main() -> None:
    """Take all measurements, in about two minutes. It measures and judges nothing: exits 0."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="o-bench-") as folder:
        measured, first_s, second_s = _measure_product(Path(folder) / "main")
        _say("a worker's death")
        deaths = death.measure(Path(folder) / "killed")
    print(as_markdown(Findings(measured, deaths, first_s, second_s, load_before)))


def _measure_product(folder: Path) -> tuple[overhead.Overhead, float, float]:
    """The overhead on a new product, and the seconds of its first and second start."""
    with child("bench.provider") as (_, provider_url):
        product = Product(
            folder / "o",
            {
                "OPENAI_API_KEY": "sk-bench",
                "OPENAI_BASE_URL": provider_url,
                "O_SWEEP_INTERVAL_S": "3",  # the default, which tests shorten
            },
        )
        try:
            _say("first start")
            first_s = product.start()
            _say("floor, turns and reads")
            measured = overhead.measure(product)
            product.stop()
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
