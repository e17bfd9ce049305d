"""The tables of tools: what they are, what they run with, and what is asked of workers."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from o.storage.tables.columns import (
    authors,
    flag,
    id_column,
    json,
    metadata,
    owner,
    parent,
    texts,
    time,
)

tools = Table(
    "tools",
    metadata,
    id_column(),
    owner(),
    Column("name", Text, nullable=False),
    Column("tool_type", Text, nullable=False, server_default=text("'custom'")),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("source_type", Text, nullable=False, server_default=text("'python'")),
    Column("source_code", Text),
    Column("json_schema", JSON, nullable=False),  # keeps the order of keys, as JSONB does not
    Column("args_json_schema", JSON(none_as_null=True)),
    texts("tags"),
    Column("return_char_limit", Integer, nullable=False, server_default=text("50000")),
    json("pip_requirements", None),
    json("npm_requirements", None),
    Column("default_requires_approval", Boolean),
    flag("enable_parallel_execution"),
    flag("is_idempotent"),
    Column("allowed_hosts", ARRAY(Text)),
    Column("mcp_server_id", Text),
    Column("mcp_name", Text),
    json("metadata"),
    Column("problem", Text, nullable=False, server_default=text("''")),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    id_column(),
    owner(),
    Column("server_name", Text, nullable=False),
    Column("server_type", Text, nullable=False),
    Column("server_url", Text),
    Column("auth_header", Text),
    Column("command", Text),
    texts("args"),
    Column("secrets", Text),
    Column("problem", Text, nullable=False, server_default=text("''")),
    time("synced_at"),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

tool_starts = Table(
    "tool_starts",
    metadata,
    Column("step_id", Text, ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    time("started_at", nullable=False),
)

sandbox_configs = Table(
    "sandbox_configs",
    metadata,
    id_column(),
    owner(),
    Column("type", Text, nullable=False),
    json("config"),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

tool_variables = Table(
    "tool_variables",
    metadata,
    id_column(),
    owner(),
    parent("agent_id", "agents", nullable=True),
    parent("sandbox_config_id", "sandbox_configs", nullable=True),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("description", Text),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

worker_requests = Table(
    "worker_requests",
    metadata,
    id_column(),
    owner(),
    Column("kind", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("result", Text),
    time("started_at"),
    time("created_at", nullable=False),
)

sandbox_states = Table(
    "sandbox_states",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("state", JSONB, nullable=False),
    time("seen_at", nullable=False),
)
