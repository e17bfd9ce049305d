"""The tables, as this version of the code uses them. `migrations/` makes them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

metadata = MetaData()


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True)


def _owner() -> Column[str]:
    return Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False)


def _parent(name: str, target: str, *, nullable: bool = False) -> Column[str]:
    """A reference whose row goes when its target goes."""
    return Column(name, Text, ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _json(name: str, default: str | None = "{}") -> Column[object]:
    return Column(
        name,
        JSONB(none_as_null=True),
        nullable=default is None,
        server_default=None if default is None else text(f"'{default}'"),
    )


def _texts(name: str) -> Column[object]:
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _authors() -> tuple[Column[str], Column[str]]:
    return Column("created_by_id", Text), Column("last_updated_by_id", Text)


organizations = Table(
    "organizations",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("providers_mark", Text, nullable=False, server_default=text("''")),
    _time("created_at", nullable=False),
)

providers = Table(
    "providers",
    metadata,
    _id(),
    _owner(),
    Column("name", Text, nullable=False),
    Column("provider_type", Text, nullable=False),
    Column("origin", Text, nullable=False, server_default=text("'api'")),
    Column("base_url", Text),
    Column("api_key", Text),
    Column("access_key", Text),
    Column("region", Text),
    Column("api_version", Text),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("last_synced"),
)

users = Table(
    "users",
    metadata,
    _id(),
    _owner(),
    Column("name", Text, nullable=False),
    _time("created_at", nullable=False),
)

agents = Table(
    "agents",
    metadata,
    _id(),
    _owner(),
    Column("name", Text, nullable=False),
    Column("agent_type", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("embedding", Text),
    _json("model_settings"),
    Column("context_window", Integer, nullable=False),
    Column("description", Text),
    _json("metadata"),
    _texts("tags"),
    _texts("tool_names"),
    Column("timezone", Text, nullable=False),
    _json("llm_options"),
    _json("embedding_config", None),
    _json("compaction_settings", None),
    _json("response_format", None),
    _json("tool_rules", "[]"),
    _flag("message_buffer_autoclear"),
    Column("enable_sleeptime", Boolean),
    Column("max_files_open", Integer),
    Column("per_file_view_window_char_limit", Integer),
    Column("hidden", Boolean),
    Column("project_id", Text),
    Column("template_id", Text),
    Column("base_template_id", Text),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("last_run_completion"),
    Column("last_run_duration_ms", BigInteger),
    Column("last_stop_reason", Text),
    Column("approval_timeout_s", Integer),
    _time("deleted_at"),
)

tools = Table(
    "tools",
    metadata,
    _id(),
    _owner(),
    Column("name", Text, nullable=False),
    Column("tool_type", Text, nullable=False, server_default=text("'custom'")),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("source_type", Text, nullable=False, server_default=text("'python'")),
    Column("source_code", Text),
    Column("json_schema", JSON, nullable=False),  # keeps the order of keys, as JSONB does not
    Column("args_json_schema", JSON(none_as_null=True)),
    _texts("tags"),
    Column("return_char_limit", Integer, nullable=False, server_default=text("50000")),
    _json("pip_requirements", None),
    _json("npm_requirements", None),
    Column("default_requires_approval", Boolean),
    _flag("enable_parallel_execution"),
    _flag("is_idempotent"),
    Column("allowed_hosts", ARRAY(Text)),
    Column("mcp_server_id", Text),
    Column("mcp_name", Text),
    _json("metadata"),
    Column("problem", Text, nullable=False, server_default=text("''")),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    _id(),
    _owner(),
    Column("server_name", Text, nullable=False),
    Column("server_type", Text, nullable=False),
    Column("server_url", Text),
    Column("auth_header", Text),
    Column("command", Text),
    _texts("args"),
    Column("secrets", Text),
    Column("problem", Text, nullable=False, server_default=text("''")),
    _time("synced_at"),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    _id(),
    _owner(),
    Column("label", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("limit_chars", Integer, nullable=False),
    Column("description", Text),
    _flag("read_only"),
    _json("metadata"),
    _texts("tags"),
    Column("project_id", Text),
    _flag("is_template"),
    Column("template_name", Text),
    Column("template_id", Text),
    Column("base_template_id", Text),
    Column("deployment_id", Text),
    Column("entity_id", Text),
    _flag("preserve_on_migration"),
    Column("hidden", Boolean),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("changed_by", Text),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

block_versions = Table(
    "block_versions",  # written by a trigger of `blocks`
    metadata,
    Column("block_id", Text, ForeignKey("blocks.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("value", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("description", Text),
    Column("limit_chars", Integer, nullable=False),
    Column("actor", Text),
    _time("created_at", nullable=False),
)

agent_blocks = Table(
    "agent_blocks",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("label", Text, primary_key=True),
    _parent("block_id", "blocks"),
    Column("position", Integer, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    _id(),
    _owner(),
    _parent("agent_id", "agents"),
    Column("is_default", Boolean, nullable=False),
    Column("next_position", BigInteger, nullable=False, server_default=text("0")),
    Column("prompt_key", Text, nullable=False, server_default=text("''")),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("summary", Text),
    Column("model", Text),
    _json("model_settings", None),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("last_message_at"),
    _time("deleted_at"),
)

conversation_blocks = Table(
    "conversation_blocks",
    metadata,
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("label", Text, primary_key=True),
    _parent("block_id", "blocks"),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _owner(),
    _parent("agent_id", "agents"),
    _parent("conversation_id", "conversations"),
    Column("request_key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stop_reason", Text),
    _json("input", "[]"),
    _json("options"),
    _json("usage"),
    _json("error", None),
    Column("steps_done", Integer, nullable=False, server_default=text("0")),
    Column("next_seq", BigInteger, nullable=False, server_default=text("1")),
    Column("created_by_id", Text),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("completed_at"),
    _time("first_token_at"),
    Column("events_kept", Boolean, nullable=False, server_default=text("true")),
    Column("approval_id", Text),
    Column("origin_run_id", Text),
    Column("callback_url", Text),
    _time("callback_sent_at"),
    Column("callback_status_code", Integer),
    Column("callback_error", Text),
)

approvals = Table(
    "approvals",
    metadata,
    _id(),
    _owner(),
    _parent("agent_id", "agents"),
    _parent("conversation_id", "conversations"),
    Column("run_id", Text, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("calls", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    _json("decisions", "[]"),
    Column("answer_run_id", Text),
    Column("decided_by", Text),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("decided_at"),
)

steps = Table(
    "steps",
    metadata,
    _id(),
    _owner(),
    _parent("run_id", "runs"),
    _parent("agent_id", "agents"),
    Column("index", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("1")),
    Column("model", Text, nullable=False),
    Column("finish_reason", Text),
    _json("usage"),
    _time("created_at", nullable=False),
    _time("completed_at"),
    Column("model_started_ns", BigInteger),
    Column("model_ns", BigInteger),
    Column("feedback", Text),
    _texts("tags"),
    Column("fallback", Integer, nullable=False, server_default=text("0")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    _json("error", None),
)

agent_waits = Table(
    "agent_waits",
    metadata,
    Column("awaited_run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    _parent("run_id", "runs"),
    _time("created_at", nullable=False),
)

provider_rests = Table(
    "provider_rests",
    metadata,
    Column("organization_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("provider", Text, primary_key=True),
    _json("failed_conversations"),
    Column("error_type", Text, nullable=False),
    Column("error_status", Integer, nullable=False),
    Column("rests", Integer, nullable=False, server_default=text("0")),
    _time("until"),
)

step_traces = Table(
    "step_traces",
    metadata,
    Column("step_id", Text, ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True),
    _owner(),
    Column("attempt", Integer, nullable=False),
    Column("request", Text, nullable=False),
    Column("response", Text, nullable=False),
    _json("details"),
    _time("created_at", nullable=False),
)

tool_starts = Table(
    "tool_starts",
    metadata,
    Column("step_id", Text, ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    _time("started_at", nullable=False),
)

sandbox_configs = Table(
    "sandbox_configs",
    metadata,
    _id(),
    _owner(),
    Column("type", Text, nullable=False),
    _json("config"),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

tool_variables = Table(
    "tool_variables",
    metadata,
    _id(),
    _owner(),
    _parent("agent_id", "agents", nullable=True),
    _parent("sandbox_config_id", "sandbox_configs", nullable=True),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("description", Text),
    *_authors(),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
)

worker_requests = Table(
    "worker_requests",
    metadata,
    _id(),
    _owner(),
    Column("kind", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("result", Text),
    _time("started_at"),
    _time("created_at", nullable=False),
)

other_usage = Table(
    "other_usage",  # written by a trigger of `steps`, and for replies that cannot be used
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default=text("0"))
        for name in (
            "calls",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "unpriced_calls",
        )
    ),
    Column("cost_nano", BigInteger),
)

messages = Table(
    "messages",
    metadata,
    _id(),
    _owner(),
    _parent("agent_id", "agents"),
    _parent("conversation_id", "conversations"),
    Column("run_id", Text),
    Column("step_id", Text),
    Column("position", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    _json("parts", "[]"),
    _json("tool_calls", "[]"),
    _json("tool_return", None),
    _json("approval", None),
    Column("name", Text),
    Column("otid", Text),
    Column("sender_id", Text),
    Column("copy_of", Text),
    _json("extras", None),
    _time("created_at", nullable=False),
)

run_events = Table(
    "run_events",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    _json("body"),
    _time("created_at", nullable=False),
)

deleted_rows = Table(
    "deleted_rows",  # written by triggers of the tables that are listed
    metadata,
    Column("shown_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("agent_id", Text),
    Column("conversation_id", Text),
    Column("run_id", Text),
    Column("step_id", Text),
    Column("position", BigInteger),
    _time("created_at", nullable=False),
    _time("updated_at"),
    _time("last_message_at"),
    _time("last_run_completion"),
    _time("deleted_at", nullable=False),
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
    _time("learnt_at", nullable=False),
)

sandbox_states = Table(
    "sandbox_states",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("state", JSONB, nullable=False),
    _time("seen_at", nullable=False),
)
