"""The tables of providers, of those that rest, and of what was learnt of their models."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, text

from o.storage.tables.columns import flag, id_column, json, metadata, owner, time

providers = Table(
    "providers",
    metadata,
    id_column(),
    owner(),
    Column("name", Text, nullable=False),
    Column("provider_type", Text, nullable=False),
    Column("origin", Text, nullable=False, server_default=text("'api'")),
    Column("base_url", Text),
    flag("base_url_judged"),
    Column("api_key", Text),
    Column("access_key", Text),
    Column("region", Text),
    Column("api_version", Text),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("last_synced"),
)

provider_rests = Table(
    "provider_rests",
    metadata,
    Column("organization_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("provider", Text, primary_key=True),
    json("failed_conversations"),
    Column("error_type", Text, nullable=False),
    Column("error_status", Integer, nullable=False),
    Column("rests", Integer, nullable=False, server_default=text("0")),
    time("until"),
)

model_lessons = Table(
    "model_lessons",
    metadata,
    Column(
        "organization_id",
        Text,
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("lesson", Text, primary_key=True),
    Column("provider_mark", Text, nullable=False),
    time("learnt_at", nullable=False),
)
