"""`python -m bench.retrieval`: how well searches find what answers a question.

The data set is made from a seed, and was made before anything was tuned; what was tuned was tuned
on the other one (`--set tuning`).
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import uvloop

from bench.child import child
from bench.retrieval.dataset import DataSet, make
from bench.retrieval.measure import DEPTHS, Quality, embed, of_bm25, of_product, store
from bench.retrieval.scale import measure_scale
from o.storage.database import Database
from tests.support.product import Product


def main() -> None:
    """Print tables of recall and MRR, and of how long searches take. It judges nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--set", choices=("measured", "tuning"), default="measured")
    parser.add_argument("--scale", action="store_true", help="how long searches take, too")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the model's threads spin
    data = make(options.set)
    print(_described(data), file=sys.stderr, flush=True)
    passage_vectors, question_vectors = embed(data)
    with (
        tempfile.TemporaryDirectory(prefix="o-retrieval-") as folder,
        child("bench.provider") as (_, provider_url),
    ):
        environment = {
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": provider_url,
            "O_SANDBOX_BACKEND": "auto",
            "O_WORKERS": "1",
        }
        product = Product(Path(folder) / "o", environment)
        product.start()
        try:
            url = product.state["database_url"]
            archive_id = store(url, data, passage_vectors)
            found = uvloop.run(_search(url, archive_id, data, question_vectors))
            print(_table([*found, of_bm25(data)]), flush=True)
            if options.scale:
                print(uvloop.run(measure_scale(product)))
        finally:
            product.stop()


async def _search(
    url: str, archive_id: str, data: DataSet, vectors: list[list[float]]
) -> list[Quality]:
    database = Database(url)
    try:
        return await of_product(database, archive_id, data, vectors)
    finally:
        await database.close()


def _described(data: DataSet) -> str:
    kinds = Counter(question.kind for question in data.questions)
    asked = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{len(data.passages)} passages, {len(data.questions)} questions: {asked}"


def _table(found: list[Quality]) -> str:
    heads = [*(f"recall@{depth}" for depth in DEPTHS), *(f"MRR@{depth}" for depth in DEPTHS)]
    lines = [f"| search | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for one in found:
        figures = [*map(one.recall, DEPTHS), *map(one.mrr, DEPTHS)]
        lines.append(f"| {one.name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
