"""Tools as rows: those that an organisation made, and those of its MCP servers."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_UPGRADE = """
-- Schemas are `json`, which keeps the order of parameters: models fill them in in that order.
CREATE TABLE IF NOT EXISTS tools (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    -- 'custom' or 'external_mcp'
    tool_type text NOT NULL DEFAULT 'custom',
    description text NOT NULL DEFAULT '',
    source_type text NOT NULL DEFAULT 'python',
    source_code text,
    json_schema json NOT NULL,
    args_json_schema json,
    tags text[] NOT NULL DEFAULT '{}',
    return_char_limit integer NOT NULL DEFAULT 50000,
    pip_requirements jsonb,
    npm_requirements jsonb,
    default_requires_approval boolean,
    enable_parallel_execution boolean NOT NULL DEFAULT false,
    is_idempotent boolean NOT NULL DEFAULT false,
    allowed_hosts text[],
    mcp_server_id text,
    mcp_name text,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Why it cannot be run now; empty when it can.
    problem text NOT NULL DEFAULT '',
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, name)
);
CREATE INDEX IF NOT EXISTS tools_by_age ON tools (organization_id, created_at, id);
CREATE INDEX IF NOT EXISTS tools_by_server ON tools (mcp_server_id)
    WHERE mcp_server_id IS NOT NULL;

CREATE OR REPLACE FUNCTION o_keep_places_of_tools() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, organization_id, created_at, shown_id, kind)
    SELECT id, organization_id, created_at, id, 'tools' FROM gone
    ON CONFLICT (shown_id, id) DO UPDATE SET organization_id = excluded.organization_id,
        created_at = excluded.created_at, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tools_keep_places AFTER DELETE ON tools
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_tools();
"""

_DOWNGRADE = """
DROP TABLE tools;
DROP FUNCTION o_keep_places_of_tools();
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
