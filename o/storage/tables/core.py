"""The tables, as this version of the code uses them. `migrations/` makes them.

The other modules here have the rest; `all` knows every one.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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

organizations = Table(
    "organizations",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("providers_mark", Text, nullable=False, server_default=text("''")),
    time("created_at", nullable=False),
    time("deleted_at"),
    time("purged_at"),
)

users = Table(
    "users",
    metadata,
    id_column(),
    owner(),
    Column("name", Text, nullable=False),
    time("created_at", nullable=False),
    time("updated_at"),
    time("deleted_at"),
)

agents = Table(
    "agents",
    metadata,
    id_column(),
    owner(),
    Column("name", Text, nullable=False),
    Column("agent_type", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("embedding", Text),
    json("model_settings"),
    Column("context_window", Integer, nullable=False),
    Column("description", Text),
    json("metadata"),
    texts("tags"),
    texts("tool_names"),
    Column("timezone", Text, nullable=False),
    json("llm_options"),
    json("embedding_config", None),
    json("compaction_settings", None),
    json("response_format", None),
    json("tool_rules", "[]"),
    flag("message_buffer_autoclear"),
    Column("enable_sleeptime", Boolean),
    Column("max_files_open", Integer),
    Column("per_file_view_window_char_limit", Integer),
    Column("hidden", Boolean),
    Column("project_id", Text),
    Column("template_id", Text),
    Column("base_template_id", Text),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("last_run_completion"),
    Column("last_run_duration_ms", BigInteger),
    Column("last_stop_reason", Text),
    Column("approval_timeout_s", Integer),
    time("deleted_at"),
)

blocks = Table(
    "blocks",
    metadata,
    id_column(),
    owner(),
    Column("label", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("limit_chars", Integer, nullable=False),
    Column("description", Text),
    flag("read_only"),
    json("metadata"),
    texts("tags"),
    Column("project_id", Text),
    flag("is_template"),
    Column("template_name", Text),
    Column("template_id", Text),
    Column("base_template_id", Text),
    Column("deployment_id", Text),
    Column("entity_id", Text),
    flag("preserve_on_migration"),
    Column("hidden", Boolean),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("changed_by", Text),
    Column("changed_via", Text),
    Column("changed_in", Text),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
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
    time("created_at", nullable=False),
    Column("via", Text),
    Column("run_id", Text),
    json("fields", None),
    Column("origin", BigInteger),
    Column("undo_to", BigInteger),
    Column("redo_to", BigInteger),
)

agent_blocks = Table(
    "agent_blocks",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("label", Text, primary_key=True),
    parent("block_id", "blocks"),
    Column("position", Integer, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    id_column(),
    owner(),
    parent("agent_id", "agents"),
    Column("is_default", Boolean, nullable=False),
    Column("next_position", BigInteger, nullable=False, server_default=text("0")),
    Column("prompt_key", Text, nullable=False, server_default=text("''")),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("window_start", BigInteger, nullable=False, server_default=text("0")),
    Column("summary_id", Text),
    Column("summary", Text),
    Column("model", Text),
    json("model_settings", None),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("last_message_at"),
    time("deleted_at"),
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
    parent("block_id", "blocks"),
)

runs = Table(
    "runs",
    metadata,
    id_column(),
    owner(),
    parent("agent_id", "agents"),
    parent("conversation_id", "conversations"),
    Column("request_key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stop_reason", Text),
    json("input", "[]"),
    json("options"),
    json("usage"),
    json("error", None),
    Column("steps_done", Integer, nullable=False, server_default=text("0")),
    Column("next_seq", BigInteger, nullable=False, server_default=text("1")),
    Column("created_by_id", Text),
    time("created_at", nullable=False),
    time("started_at"),
    time("completed_at"),
    time("first_token_at"),
    Column("events_kept", Boolean, nullable=False, server_default=text("true")),
    Column("approval_id", Text),
    Column("origin_run_id", Text),
    Column("callback_url", Text),
    time("callback_sent_at"),
    Column("callback_status_code", Integer),
    Column("callback_error", Text),
)

batches = Table(
    "batches",
    metadata,
    id_column(),
    owner(),
    Column("run_ids", ARRAY(Text), nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("created_by_id", Text),
    time("created_at", nullable=False),
    time("cancelled_at"),
    Column("callback_url", Text),
    time("callback_sent_at"),
    Column("callback_status_code", Integer),
    Column("callback_error", Text),
)

approvals = Table(
    "approvals",
    metadata,
    id_column(),
    owner(),
    parent("agent_id", "agents"),
    parent("conversation_id", "conversations"),
    Column("run_id", Text, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("calls", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    json("decisions", "[]"),
    Column("answer_run_id", Text),
    Column("decided_by", Text),
    time("created_at", nullable=False),
    time("expires_at"),
    time("decided_at"),
)

steps = Table(
    "steps",
    metadata,
    id_column(),
    owner(),
    parent("run_id", "runs"),
    parent("agent_id", "agents"),
    Column("index", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("1")),
    Column("model", Text, nullable=False),
    Column("finish_reason", Text),
    json("usage"),
    time("created_at", nullable=False),
    time("completed_at"),
    Column("model_started_ns", BigInteger),
    Column("model_ns", BigInteger),
    Column("feedback", Text),
    texts("tags"),
    Column("fallback", Integer, nullable=False, server_default=text("0")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    json("error", None),
)

agent_waits = Table(
    "agent_waits",
    metadata,
    Column("awaited_run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    parent("run_id", "runs"),
    time("created_at", nullable=False),
)

step_traces = Table(
    "step_traces",
    metadata,
    Column("step_id", Text, ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True),
    owner(),
    Column("attempt", Integer, nullable=False),
    Column("request", Text, nullable=False),
    Column("response", Text, nullable=False),
    json("details"),
    time("created_at", nullable=False),
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
    id_column(),
    owner(),
    parent("agent_id", "agents"),
    parent("conversation_id", "conversations"),
    Column("run_id", Text),
    Column("step_id", Text),
    Column("position", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    json("parts", "[]"),
    json("tool_calls", "[]"),
    json("tool_return", None),
    json("approval", None),
    Column("name", Text),
    Column("otid", Text),
    Column("sender_id", Text),
    Column("copy_of", Text),
    json("extras", None),
    flag("is_aside"),  # in no window; nobody needs it but the statements that read windows
    time("created_at", nullable=False),
)

run_events = Table(
    "run_events",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    json("body"),
    time("created_at", nullable=False),
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
    time("created_at", nullable=False),
    time("updated_at"),
    time("last_message_at"),
    time("last_run_completion"),
    time("deleted_at", nullable=False),
)
