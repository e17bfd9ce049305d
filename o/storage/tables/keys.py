"""The tables of keys of the API, and of who did what."""

from sqlalchemy import Column, ForeignKey, Table, Text

from o.storage.tables.columns import id_column, json, metadata, owner, texts, time

api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    owner(),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    texts("scopes"),
    time("created_at", nullable=False),
    time("expires_at"),
    time("last_used_at"),
    time("revoked_at"),
)

audit_records = Table(
    "audit_records",
    metadata,
    id_column(),
    owner(),
    Column("user_id", Text),
    Column("key_id", Text),
    Column("what", Text, nullable=False),
    Column("target_id", Text),
    json("details"),
    time("created_at", nullable=False),
)
