"""How long searches take in archives of 1,000, 10,000 and 100,000 passages, beside a retrieve."""

import random
import statistics
import time
from urllib.parse import quote

from bench.client import Operation, create_agent, repeat, retrieve_agent
from bench.connection import Connection, request
from bench.provider import DIMENSION, EMBEDDING
from o.storage.database import Database
from o.storage.search.space_index import make_space_index
from tests.support.product import Product

SIZES = (1_000, 10_000, 100_000)
_ROUNDS = 60
_WORDS = 20_000
_SEED = 5
_EACH = 5_000

# Words as rare as those of a language: the n-th about n times as rare as the first.
_WORD = f"'w' || to_hex(floor(exp(random() * ln({_WORDS})))::bigint * 48271)"
_SPACE = """
INSERT INTO vector_spaces (organization_id, handle, dimension)
SELECT organization_id, %s, %s FROM agents WHERE id = %s RETURNING id
"""
_ARCHIVE = """
WITH made AS (
    INSERT INTO archives (id, organization_id, name, space_id, created_at, updated_at)
    SELECT 'archive-' || gen_random_uuid(), organization_id, 'bench', %s, now(), now()
    FROM agents WHERE id = %s RETURNING id
)
INSERT INTO agent_archives (agent_id, archive_id, is_owner, created_at)
SELECT %s, id, true, now() FROM made RETURNING archive_id
"""
_FILL = f"""
WITH stored AS (
    INSERT INTO passages (id, organization_id, archive_id, text, key, created_at, updated_at)
    SELECT 'passage-' || gen_random_uuid(), organization_id, archives.id, (
        SELECT string_agg({_WORD}, ' ') FROM generate_series(1, 35) AS place WHERE n = n
    ), '', now() - n * interval '1 minute', now()
    FROM archives, generate_series(1, %s) AS n WHERE archives.id = %s
    RETURNING id, archive_id
)
INSERT INTO passage_vectors (passage_id, space_id, archive_id, embedding)
SELECT id, %s, archive_id, (
    SELECT l2_normalize(array_agg(random() - 0.5)::vector)
    FROM generate_series(1, {DIMENSION}) AS number WHERE id = id
) FROM stored
"""


async def measure_scale(product: Product) -> str:
    """A table: the median of each search, and how many times a retrieve that is."""
    connection = Connection(product.url)
    agents = [await _filled(product, connection, size) for size in SIZES]
    names = ["retrieve an agent", *(f"search of {size:,} passages" for size in SIZES)]
    operations: list[Operation] = [retrieve_agent(connection, agents[0])]
    operations += [_searches(connection, agent) for agent in agents]
    seconds: list[list[float]] = [[] for _ in operations]
    for round_ in range(_ROUNDS):
        for place, operation in enumerate(operations):
            began = time.perf_counter()
            await operation()
            if round_ >= _ROUNDS // 10:  # the first ones find nothing prepared
                seconds[place].append(time.perf_counter() - began)
    medians = [statistics.median(one) * 1_000 for one in seconds]
    lines = [
        "| operation | p50 ms | retrieves | times the smallest search |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {took:.1f} | {took / medians[0]:.1f} | {took / medians[1]:.1f} |"
        for name, took in zip(names, medians, strict=True)
    ]
    return "\n".join(lines)


async def _filled(product: Product, connection: Connection, size: int) -> str:
    """An agent whose archive has so many passages, with vectors and what finds them quickly."""
    agent_id = await create_agent(connection)
    handle = f"openai/{EMBEDDING}-{size}"  # a space for each, whose index has nothing else
    ((space_id,),) = product.query(_SPACE, handle, DIMENSION, agent_id)
    ((archive_id,),) = product.query(_ARCHIVE, space_id, agent_id, agent_id)
    for begin in range(0, size, _EACH):
        product.query(_FILL, min(_EACH, size - begin), archive_id, space_id)
    database = Database(product.state["database_url"])
    await make_space_index(database, space_id)
    await database.close()
    product.query("VACUUM ANALYZE passages, passage_vectors")
    return agent_id


def _searches(connection: Connection, agent_id: str) -> Operation:
    """A search for eight words, others each time."""
    chance = random.Random(_SEED)
    path = f"/v1/agents/{agent_id}/archival-memory/search?top_k=10&query="

    async def search() -> None:
        places = [int(_WORDS ** chance.random()) * 48_271 for _ in range(8)]
        words = quote(" ".join(f"w{place:x}" for place in places))
        await repeat(connection, request("GET", path + words), '"count":')()

    return search
