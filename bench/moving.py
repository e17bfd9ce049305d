"""`python -m bench.moving`: how fast a V1 database is moved in, and what memory that takes."""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.letta_v1.databases import move, new_o, new_v1
from tests.letta_v1.rows import V1
from tests.support.product import Product

MESSAGES, QUICK_MESSAGES = 100_000, 10_000
_OF_AN_AGENT = 10_000

# Of four messages one is a user's, one a call, one its return, and one a reply.
_FILL = """
    INSERT INTO messages (id, agent_id, organization_id, role, content, tool_calls, tool_returns,
                          tool_call_id, created_at)
    SELECT 'message-' || gen_random_uuid(), %(agent)s, %(organization)s,
        (ARRAY['user', 'assistant', 'tool', 'assistant'])[n %% 4 + 1],
        json_build_array(json_build_object(
            'type', 'text', 'text', repeat('words of the message ' || n || ' ', 12))),
        CASE n %% 4 WHEN 1 THEN json_build_array(json_build_object(
            'id', 'call_' || n, 'type', 'function',
            'function', json_build_object('name', 'add_numbers', 'arguments', '{}'))) ELSE '[]' END,
        CASE n %% 4 WHEN 2 THEN json_build_array(json_build_object(
            'tool_call_id', 'call_' || n - 1, 'status', 'success', 'func_response', 'ok')) END,
        CASE n %% 4 WHEN 2 THEN 'call_' || n - 1 END, now()
    FROM generate_series(0, %(count)s - 1) AS n
"""
_LIST = """
    UPDATE agents SET message_ids = (
        SELECT json_agg(id ORDER BY sequence_id) FROM (
            SELECT id, sequence_id FROM messages WHERE agent_id = agents.id
            ORDER BY sequence_id DESC LIMIT 40) AS newest)
"""


@dataclass(frozen=True)
class Moved:
    """What an import took.

    Attributes:
        messages: How many.
        first_s: Seconds until all were moved.
        again_s: Seconds of the run that found nothing to do.
        memory_mb: The most that a process of it had.
    """

    messages: int
    first_s: float
    again_s: float
    memory_mb: float

    def __str__(self) -> str:
        """A line of a report."""
        return (
            f"{self.messages:,} messages of a V1 database moved in {self.first_s:.1f} s "
            f"({self.messages / self.first_s:,.0f} a second) with {self.memory_mb:.0f} MB; "
            f"again, with nothing to do, in {self.again_s:.1f} s"
        )


def measure(product: Product, messages: int) -> Moved:
    """Move so many messages, ten thousand an agent, into a database beside the product's."""
    with new_v1(product) as v1, new_o(product) as o_url:
        _fill(v1, messages)
        before_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        first_s = _move(v1.url, o_url)
        memory_kb = max(before_kb, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        return Moved(messages, first_s, _move(v1.url, o_url), memory_kb / 1024)


def _fill(v1: V1, messages: int) -> None:
    for start in range(0, messages, _OF_AN_AGENT):
        agent_id = v1.add("agents", name=f"agent {start}")
        (owner,) = v1.query("SELECT organization_id FROM agents LIMIT 1")[0]
        with psycopg.connect(v1.url) as connection:
            count = min(_OF_AN_AGENT, messages - start)
            connection.execute(_FILL, {"agent": agent_id, "organization": owner, "count": count})
    v1.query(_LIST)
    v1.query("ANALYZE")


def _move(v1_url: str, o_url: str) -> float:
    began = time.monotonic()
    result = move(v1_url, o_url)
    if result["status"] != 0:
        raise SystemExit(result["errors"])
    return time.monotonic() - began


def main() -> None:
    """Start a product, for its PostgreSQL, and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.moving", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"[{MESSAGES}]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="o-bench-") as folder:
        product = Product(Path(folder) / "o")
        product.start()
        try:
            print(measure(product, options.messages))
        finally:
            product.stop()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
