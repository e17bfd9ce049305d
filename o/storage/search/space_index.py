"""Indexes over vectors: one for each space that has many, made beside everything else."""

import logging
from typing import Any

from psycopg import sql

from o.storage.database import Database
from o.storage.search.embedded import PASSAGES, Kept

_log = logging.getLogger(__name__)

MANY_VECTORS = 5_000
"""Of so many vectors an index finds the nearest more quickly than a look at each of them."""

_VECTOR, _HALFVEC = 2_000, 4_000
_MEMORY = "256MB"
_STATE = """
    SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)
"""


def vector_type(dimension: int) -> str:
    """The type that an index takes: single precision, half of it where that is too long."""
    return (
        f"halfvec({dimension:d})" if _VECTOR < dimension <= _HALFVEC else f"vector({dimension:d})"
    )


def is_quantized(dimension: int) -> bool:
    """Whether vectors are so long that an index has only the signs of their numbers."""
    return dimension > _HALFVEC


def column_of(dimension: int, embedding: str) -> str:
    """What the index of a space of that dimension is over, `embedding` being the column."""
    typed = f"CAST({embedding} AS {vector_type(dimension)})"
    return (
        f"CAST(binary_quantize({typed}) AS bit({dimension:d}))"
        if is_quantized(dimension)
        else typed
    )


def operator_of(dimension: int) -> str:
    """The distance that the index is in the order of."""
    return "<~>" if is_quantized(dimension) else "<=>"


async def make_space_index(
    database: Database, space_id: int, *, kept: Kept = PASSAGES, many: int = MANY_VECTORS
) -> str | None:
    """Make the index over a space's vectors where there are many and it has none.

    Safe to repeat, and cheap where there is nothing to do. Nobody waits for it meanwhile. One that
    a crash has left half made is made again.

    Args:
        database: Where the vectors are.
        space_id: Which space.
        kept: Of what.
        many: How few are not worth an index.

    Returns:
        The name of the index; None where there is none, or somebody else is making it.
    """
    async with database.connect() as looking:
        row: Any = (await looking.exec_driver_sql(kept.stands, (space_id,))).one_or_none()
    if row is None:
        return None
    dimension, noted, vectors = row
    if noted is not None or vectors < many:
        return str(noted) if noted is not None else None
    async with await database.connect_alone("makes an index") as connection:
        lock = [kept.lock, space_id % 2**31]
        locked = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", lock)
        if not (await locked.fetchone() or [False])[0]:
            return None
        name = f"{kept.vectors}_of_{space_id:d}"
        state = await (await connection.execute(_STATE, [name])).fetchone()
        if state is not None and not state[0]:
            await connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(name))
            )
        if state is None or not state[0]:
            await connection.execute(
                "SELECT set_config('maintenance_work_mem', %s, false)", [_MEMORY]
            )
            await connection.execute(sql.SQL(_create(kept, name, space_id, dimension)))
        await connection.execute(sql.SQL(kept.note), [name, space_id])
    _log.info("vectors have an index", extra={"space": space_id, "vectors": int(vectors)})
    return name


def _create(kept: Kept, name: str, space_id: int, dimension: int) -> str:
    operators = (
        "bit_hamming_ops"
        if is_quantized(dimension)
        else f"{vector_type(dimension).partition('(')[0]}_cosine_ops"
    )
    return (
        f"CREATE INDEX CONCURRENTLY {name} ON {kept.vectors} "
        f"USING hnsw (({column_of(dimension, 'embedding')}) {operators}) "
        f"WHERE space_id = {space_id:d}"
    )
