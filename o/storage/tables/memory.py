"""The tables of archival memory; they share `metadata` with the others."""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TSVECTOR

from o.storage.tables.columns import metadata

__all__ = [
    "agent_archives",
    "archive_tags",
    "archives",
    "message_terms",
    "message_terms_backlog",
    "metadata",
    "passage_vectors",
    "passages",
    "passages_to_embed",
    "vector_spaces",
]


def _owner() -> Column[str]:
    return Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False)


def _of(name: str, target: str, *, primary_key: bool = False) -> Column[str]:
    """A reference whose row goes when its target goes."""
    reference = ForeignKey(f"{target}.id", ondelete="CASCADE")
    return Column(name, Text, reference, nullable=False, primary_key=primary_key)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _authors() -> tuple[Column[str], Column[str]]:
    return Column("created_by_id", Text), Column("last_updated_by_id", Text)


vector_spaces = Table(
    "vector_spaces",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    _owner(),
    Column("handle", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("index_name", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

archives = Table(
    "archives",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("metadata", JSONB(none_as_null=True)),
    Column("embedding", Text),
    Column("embedding_config", JSON(none_as_null=True)),
    Column("space_id", BigInteger, ForeignKey("vector_spaces.id")),
    Column("next_space_id", BigInteger, ForeignKey("vector_spaces.id")),
    Column("problem", Text, nullable=False, server_default=text("''")),
    # Written by a trigger of `passages`.
    Column("passage_count", BigInteger, nullable=False, server_default=text("0")),
    *_authors(),
    _time("created_at"),
    _time("updated_at"),
    _time("deleted_at", nullable=True),
    # When its passages are looked at again; see the migration.
    _time("embed_after", nullable=True),
    Column("is_filling", Boolean, nullable=False, server_default=text("false")),
    # Whether a folder keeps its passages in it: no list of archives has it.
    Column("is_folder", Boolean, nullable=False, server_default=text("false")),
)

agent_archives = Table(
    "agent_archives",
    metadata,
    _of("agent_id", "agents", primary_key=True),
    _of("archive_id", "archives", primary_key=True),
    Column("is_owner", Boolean, nullable=False, server_default=text("false")),
    _time("created_at"),
)

passages = Table(
    "passages",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    _of("archive_id", "archives"),
    Column("text", Text, nullable=False),
    Column("metadata", JSONB(none_as_null=True), nullable=False, server_default=text("'{}'")),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("key", Text, nullable=False),
    Column("terms", TSVECTOR),  # written by a trigger
    Column("is_repeat", Boolean, nullable=False, server_default=text("false")),
    *_authors(),
    _time("created_at"),
    _time("updated_at"),
    Column("file_id", Text, ForeignKey("files.id", ondelete="CASCADE")),
    Column("ordinal", Integer),
)

passage_vectors = Table(
    "passage_vectors",
    metadata,
    _of("passage_id", "passages", primary_key=True),
    Column(
        "space_id",
        BigInteger,
        ForeignKey("vector_spaces.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("archive_id", Text, nullable=False),
    Column("embedding", VECTOR(), nullable=False),  # of any dimension: its space says which
)

passages_to_embed = Table(
    "passages_to_embed",  # filled by triggers of `passages`
    metadata,
    _of("passage_id", "passages", primary_key=True),
    Column("archive_id", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False, server_default=text("0")),
    Column("problem", Text, nullable=False, server_default=text("''")),
    Column("file_id", Text),
)

archive_tags = Table(
    "archive_tags",  # written by a trigger of `passages`
    metadata,
    _of("archive_id", "archives", primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("passage_count", BigInteger, nullable=False),
)

message_terms = Table(
    "message_terms",  # written by triggers of `messages`
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("agent_id", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    _time("created_at"),
    Column("terms", TSVECTOR, nullable=False),
)

message_terms_backlog = Table(
    "message_terms_backlog",  # one row while messages of earlier releases have no words yet
    metadata,
    Column("after_id", Text, nullable=False),
)
