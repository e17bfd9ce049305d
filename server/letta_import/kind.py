"""What a kind of things is that is moved in: how it is read, written and told apart.

A kind knows some tables of V1. What belongs together (an agent with its tags and its links to
blocks) is one item, so that it is here as a whole or not at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from o.secrets import Keyring
from o.settings.all import Settings
from server.letta_import.source import Source
from server.letta_import.target import Target

Needs = Mapping[str, Sequence[str]]
"""Tables of V1, each with columns of it."""


@dataclass(frozen=True)
class Item:
    """One thing of V1, as it is to stand here.

    Attributes:
        id: V1's, which stays.
        digest: Of all that V1 has of it: another one means that it was changed there.
        tables: How many rows of each of V1's tables it is made of.
        rows: What is written, by table of O; a kind may keep something else to write by.
        left: Rows among those of `tables` that have none here, by table and reason.
        told: What a person should know of it.
    """

    id: str
    organization_id: str
    digest: str
    tables: Mapping[str, int]
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    left: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    told: Sequence[str] = ()


@dataclass(frozen=True)
class LeftOut:
    """Rows of V1 that have no place here.

    Attributes:
        table: V1's.
        reason: Why, in a few words, which are the same for all of a sort.
        count: How many.
        id: Which, where it is one that a person may look for.
    """

    table: str
    reason: str
    count: int = 1
    id: str | None = None


@dataclass(frozen=True)
class Context:
    """What kinds work with, beside the two databases.

    Attributes:
        source: V1's database.
        target: O's.
        settings: O's.
        keyring: Encrypts secrets here.
        encryption_key: V1's, by which its secrets are read; None where nobody gave it.
        is_dry: Whether nothing is written, so that what was moved before an item may not be there.
    """

    source: Source
    target: Target
    settings: Settings
    keyring: Keyring
    encryption_key: str | None = None
    is_dry: bool = False


class Kind:
    """A kind of things, in the order of `KINDS`: what others refer to comes first.

    Attributes:
        name: By which `--only` and `moved_rows` know it.
        needs: The tables of V1 that it reads, with the columns that it cannot do without.
        counted: The tables of V1 whose every row it answers for; those of `needs` as a rule.
        table: V1's table that has one row for each item, by which what was deleted there is found.
        batch: How many items are one transaction.
        hang_on: Tables of V1 whose rows come with what they belong to: the column that names it,
            and its table. What was copied in part has rows that belong to nothing.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs]
    counted: ClassVar[Sequence[str]] = ()
    table: ClassVar[str]
    batch: ClassVar[int] = 200
    hang_on: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """All of its items, in an order that is always the same, and what is left out."""
        raise NotImplementedError

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """How the items by these ids stand here, as digests; those that are not here are missing.

        A digest is of what a person may have changed, and not of what changes by itself.
        """
        raise NotImplementedError

    def lock(self, target: Target, ids: Sequence[str]) -> None:
        """Keep what turns change of items from being changed until the transaction ends.

        In the order of `o.storage.locks`, and before `here` is asked whether it was.
        """

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """Write items, which may stand here already; what is different is as in V1 then.

        In a transaction, with the rows of `moved_rows`: to repeat it changes nothing.
        """
        raise NotImplementedError

    def look(self, context: Context, items: Sequence[Item]) -> None:
        """Find out what there would be to tell of items; for kinds that do so when they write."""

    def count_here(self, context: Context) -> Mapping[str, int]:
        """How many rows stand here of what was moved, by V1's table, counted in the database."""
        raise NotImplementedError

    def adopts(self, item: Item) -> bool:
        """Whether a thing by this id that is here without having been moved is the same one."""
        return False

    def gone(self, source: Source, ids: Sequence[str]) -> list[str]:
        """Which of these, that were moved once, V1 has no more."""
        found = source.all(
            f"SELECT id FROM unnest(%(ids)s::text[]) AS moved (id) WHERE NOT EXISTS "
            f'(SELECT FROM "{self.table}" AS there WHERE there.id = moved.id)',
            {"ids": list(ids)},
        )
        return [row["id"] for row in found]
