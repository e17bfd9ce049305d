"""The tables of the vectors of messages; they share `metadata` with the others."""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Table, Text, func, text

from o.storage.tables.columns import metadata

__all__ = [
    "message_embedding",
    "message_spaces",
    "message_vectors",
    "messages_to_embed",
    "metadata",
]

message_embedding = Table(
    "message_embedding",  # one row: see the migration
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    Column("handle", Text),
    Column("after_id", Text),
)

message_spaces = Table(
    "message_spaces",
    metadata,
    Column(
        "organization_id",
        Text,
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("space_id", BigInteger, ForeignKey("vector_spaces.id", ondelete="SET NULL")),
    Column("vector_count", BigInteger, nullable=False, server_default=text("0")),
    Column("index_name", Text),
    Column("embed_after", DateTime(timezone=True)),
    Column("problem", Text, nullable=False, server_default=text("''")),
)

message_vectors = Table(
    "message_vectors",  # rows go by a trigger of `messages`
    metadata,
    Column("message_id", Text, primary_key=True),
    Column(
        "space_id",
        BigInteger,
        ForeignKey("vector_spaces.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("organization_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("embedding", VECTOR(), nullable=False),  # of any dimension: its space says which
)

messages_to_embed = Table(
    "messages_to_embed",  # filled by a trigger of `messages`
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("queued_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
