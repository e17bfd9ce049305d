"""Where secrets stand in the database, under which keys, and how they come under another one."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.secrets import Keyring, SecretUnreadable
from o.storage.database import Database

_BATCH = 100


@dataclass(frozen=True)
class SealedColumn:
    """A column of secrets, each of which belongs to `<id of its row>/<name of the column>`.

    Attributes:
        is_passing: Whether it holds what O itself hands from process to process and forgets within
            the hour, rather than what somebody has entrusted to it.
    """

    table: str
    column: str
    is_passing: bool = False

    def __str__(self) -> str:
        """As statements and people name it."""
        return f"{self.table}.{self.column}"


SEALED = (
    SealedColumn("providers", "api_key"),
    SealedColumn("providers", "access_key"),
    SealedColumn("mcp_servers", "secrets"),
    SealedColumn("tool_variables", "value"),
    SealedColumn("worker_requests", "request", is_passing=True),
    SealedColumn("worker_requests", "result", is_passing=True),
)
"""All of them; tests look for others."""


@dataclass
class Resealed:
    """What came of one column.

    Attributes:
        done: Secrets that are under the first key now and were not before.
        unreadable: Secrets that stay as they are: their key is not here, or they were damaged.
    """

    done: int = 0
    unreadable: int = 0


async def count_by_key(connection: AsyncConnection, where: SealedColumn) -> Counter[str]:
    """How many secrets of a column are under each key, by its name; empty where it has none."""
    rows = await connection.execute(
        text(
            f"SELECT split_part({where.column}, ':', 2) AS key, count(*) AS secrets "  # noqa: S608
            f"FROM {where.table} WHERE {where.column} IS NOT NULL GROUP BY 1"
        )
    )
    return Counter({row.key: row.secrets for row in rows})


async def reseal(
    database: Database, keyring: Keyring, where: SealedColumn, *, batch: int = _BATCH
) -> Resealed:
    """Put every secret of a column under the first key, a batch a transaction.

    The server may run: a secret that is changed meanwhile stays as it was changed. It may be broken
    off and begun again: what is done is passed over. Others keep their way to the rows in between.
    """
    found, after = Resealed(), ""
    select = text(
        f"SELECT id, {where.column} AS sealed FROM {where.table} "  # noqa: S608
        f"WHERE id > :after AND {where.column} IS NOT NULL "
        f"AND split_part({where.column}, ':', 2) <> :key ORDER BY id LIMIT :batch"
    )
    update = text(
        f"UPDATE {where.table} SET {where.column} = :new "  # noqa: S608
        f"WHERE id = :id AND {where.column} = :old"
    )
    while True:
        key = next(iter(keyring.names()), "")
        async with database.begin() as connection:
            rows = (
                await connection.execute(select, {"after": after, "key": key, "batch": batch})
            ).all()
            for row in rows:
                of = f"{row.id}/{where.column}"
                try:
                    new = keyring.encrypt(keyring.decrypt(row.sealed, of=of), of=of)
                except SecretUnreadable:
                    found.unreadable += 1
                    continue
                values = {"id": row.id, "old": row.sealed, "new": new}
                found.done += (await connection.execute(update, values)).rowcount
        if len(rows) < batch:
            return found
        after = rows[-1].id
