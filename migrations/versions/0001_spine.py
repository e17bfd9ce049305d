"""Organisations, users, agents, blocks, conversations, messages, runs, steps and run events."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "run_events",
    "messages",
    "steps",
    "runs",
    "conversations",
    "agent_blocks",
    "blocks",
    "agents",
    "users",
    "organizations",
)

_UPGRADE = """
CREATE TABLE organizations (
    id text PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO organizations (id, name)
VALUES ('org-00000000-0000-4000-8000-000000000000', 'default_org');
INSERT INTO users (id, organization_id, name)
VALUES ('user-00000000-0000-4000-8000-000000000000',
        'org-00000000-0000-4000-8000-000000000000', 'default_user');

CREATE TABLE agents (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    agent_type text NOT NULL,
    system text NOT NULL,
    model text NOT NULL,
    embedding text,
    model_settings jsonb NOT NULL DEFAULT '{}',
    context_window integer NOT NULL,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    tool_names text[] NOT NULL DEFAULT '{}',
    timezone text NOT NULL,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_run_completion timestamptz,
    last_stop_reason text,
    deleted_at timestamptz
);
CREATE INDEX agents_by_age ON agents (organization_id, created_at, id);
CREATE INDEX agents_to_purge ON agents (id) WHERE deleted_at IS NOT NULL;

CREATE TABLE blocks (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    label text NOT NULL,
    value text NOT NULL,
    limit_chars integer NOT NULL,
    description text,
    read_only boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agent_blocks (
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    label text NOT NULL,
    block_id text NOT NULL REFERENCES blocks (id) ON DELETE CASCADE,
    position integer NOT NULL,
    PRIMARY KEY (agent_id, label)
);
CREATE INDEX agent_blocks_by_block ON agent_blocks (block_id);

CREATE TABLE conversations (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    is_default boolean NOT NULL,
    next_position bigint NOT NULL DEFAULT 0,
    prompt_key text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX conversations_one_default ON conversations (agent_id) WHERE is_default;
CREATE INDEX conversations_by_agent ON conversations (agent_id);

CREATE TABLE runs (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    request_key text NOT NULL,
    body_hash text NOT NULL,
    status text NOT NULL,
    stop_reason text,
    input jsonb NOT NULL DEFAULT '[]',
    options jsonb NOT NULL DEFAULT '{}',
    usage jsonb NOT NULL DEFAULT '{}',
    error jsonb,
    steps_done integer NOT NULL DEFAULT 0,
    next_seq bigint NOT NULL DEFAULT 1,
    created_by_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    UNIQUE (conversation_id, request_key)
);
CREATE INDEX runs_open ON runs (created_at) WHERE status IN ('created', 'running');
CREATE INDEX runs_open_by_conversation ON runs (conversation_id, created_at)
    WHERE status IN ('created', 'running');
CREATE INDEX runs_by_agent ON runs (agent_id, created_at);
CREATE INDEX runs_by_body ON runs (conversation_id, body_hash, created_at);

CREATE TABLE steps (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    index integer NOT NULL,
    status text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    model text NOT NULL,
    finish_reason text,
    usage jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    UNIQUE (run_id, index)
);
CREATE INDEX steps_by_agent ON steps (agent_id, created_at);

CREATE TABLE messages (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    run_id text,
    step_id text,
    position bigint NOT NULL,
    role text NOT NULL,
    parts jsonb NOT NULL DEFAULT '[]',
    tool_calls jsonb NOT NULL DEFAULT '[]',
    tool_return jsonb,
    name text,
    otid text,
    sender_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (conversation_id, position)
);
CREATE INDEX messages_by_agent ON messages (agent_id, created_at, position);
CREATE INDEX messages_by_run ON messages (run_id);
CREATE INDEX messages_by_step ON messages (step_id);

CREATE TABLE run_events (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq bigint NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL,
    body jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, seq)
);

-- Whoever waits for a run listens on one channel; the payload is the run's id, never content.
CREATE FUNCTION o_notify_run_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('o_run_events', run_id) FROM (SELECT DISTINCT run_id FROM appended) AS run;
    RETURN NULL;
END
$$;
CREATE TRIGGER run_events_notify AFTER INSERT ON run_events
REFERENCING NEW TABLE AS appended
FOR EACH STATEMENT EXECUTE FUNCTION o_notify_run_events();
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION o_notify_run_events()")
