"""Variables that tools see, and the configurations of sandboxes that some of them belong to."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_CONFIGS = """
CREATE TABLE IF NOT EXISTS sandbox_configs (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    -- 'local', 'e2b' or 'modal'; an organisation has one of each at most
    type text NOT NULL,
    config jsonb NOT NULL DEFAULT '{}',
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, type)
);
"""
_VARIABLES = """
-- Of an agent or of a sandbox configuration. `value` is encrypted.
CREATE TABLE IF NOT EXISTS tool_variables (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    agent_id text REFERENCES agents (id) ON DELETE CASCADE,
    sandbox_config_id text REFERENCES sandbox_configs (id) ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    description text,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (agent_id, key),
    UNIQUE (sandbox_config_id, key),
    CHECK ((agent_id IS NULL) <> (sandbox_config_id IS NULL))
);
CREATE INDEX IF NOT EXISTS tool_variables_by_organization
    ON tool_variables (organization_id) WHERE sandbox_config_id IS NOT NULL;
"""

_PLACES = """
CREATE OR REPLACE FUNCTION o_keep_places_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, organization_id, created_at, shown_id, kind)
    SELECT id, organization_id, created_at, id, '{table}' FROM gone
    ON CONFLICT (shown_id, id) DO UPDATE SET organization_id = excluded.organization_id,
        created_at = excluded.created_at, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER {table}_keep_places AFTER DELETE ON {table}
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_{table}();
"""


def upgrade() -> None:
    op.execute(_CONFIGS)
    op.execute(_VARIABLES)
    op.execute(_PLACES.format(table="sandbox_configs"))
    op.execute(_PLACES.format(table="tool_variables"))


def downgrade() -> None:
    op.execute("DROP TABLE tool_variables")
    op.execute("DROP TABLE sandbox_configs")
    op.execute("DROP FUNCTION o_keep_places_of_tool_variables()")
    op.execute("DROP FUNCTION o_keep_places_of_sandbox_configs()")
