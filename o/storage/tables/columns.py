"""What the tables' columns are made of, and the one `metadata` that all tables are in."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def id_column() -> Column[str]:
    """The text id that a row is known by everywhere, given by the code and never by a sequence."""
    return Column("id", Text, primary_key=True)


def owner() -> Column[str]:
    """The organization that a row belongs to; every owned row has one."""
    return Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False)


def parent(name: str, target: str, *, nullable: bool = False) -> Column[str]:
    """A reference whose row goes when its target goes."""
    return Column(name, Text, ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=nullable)


def time(name: str, *, nullable: bool = True) -> Column[object]:
    """An instant with its zone (`timestamptz`)."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def json(name: str, default: str | None = "{}") -> Column[object]:
    """A JSONB column; `default` is its empty value, None lets it be null."""
    return Column(
        name,
        JSONB(none_as_null=True),
        nullable=default is None,
        server_default=None if default is None else text(f"'{default}'"),
    )


def texts(name: str) -> Column[object]:
    """A list of texts, empty unless told otherwise."""
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'"))


def flag(name: str) -> Column[bool]:
    """False unless told otherwise, never null."""
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def authors() -> tuple[Column[str], Column[str]]:
    """Who made a row and who changed it last: ids of users or agents, which may be gone."""
    return Column("created_by_id", Text), Column("last_updated_by_id", Text)
