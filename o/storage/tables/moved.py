"""The table of what was moved in from another server; it shares `metadata` with the others."""

from sqlalchemy import Column, Table, Text, func
from sqlalchemy.dialects.postgresql import TIMESTAMP

from o.storage.tables.columns import json, metadata, owner

moved_rows = Table(
    "moved_rows",
    metadata,
    owner(),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("source_hash", Text, nullable=False),
    Column("moved_hash", Text, nullable=False),
    json("notes"),
    Column("moved_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
)
