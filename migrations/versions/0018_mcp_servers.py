"""MCP servers, whose tools are rows of `tools`."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_UPGRADE = """
-- `secrets` is JSON, encrypted: the token, headers and variables of the environment.
CREATE TABLE IF NOT EXISTS mcp_servers (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    server_name text NOT NULL,
    -- 'streamable_http', 'sse' or 'stdio'
    server_type text NOT NULL,
    server_url text,
    auth_header text,
    command text,
    args text[] NOT NULL DEFAULT '{}',
    secrets text,
    -- Why its tools could not be listed the last time; empty when they could.
    problem text NOT NULL DEFAULT '',
    synced_at timestamptz,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, server_name)
);
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute("DROP TABLE mcp_servers")
