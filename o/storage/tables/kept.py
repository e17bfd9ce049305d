"""The table of what came with imported agents, and of which O cannot act."""

from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from o.storage.tables.columns import metadata, owner

kept_parts = Table(
    "kept_parts",
    metadata,
    owner(),
    Column("owner_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    # A part may be null, which says something else than that there is none.
    Column("part", JSONB(none_as_null=False), nullable=False),
)
