"""Identities, which say whose an agent or a block is, and groups of agents.

All tables are new, so nothing is locked for longer than it takes to make them.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_IDENTITIES = """
CREATE TABLE IF NOT EXISTS identities (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    identifier_key text NOT NULL,
    name text NOT NULL,
    -- 'org', 'user' or 'other'
    identity_type text NOT NULL,
    properties jsonb NOT NULL DEFAULT '[]',
    project_id text,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Without a project there is one of a key too.
    UNIQUE NULLS NOT DISTINCT (organization_id, project_id, identifier_key)
);
CREATE INDEX IF NOT EXISTS identities_by_age ON identities (organization_id, created_at, id);

CREATE TABLE IF NOT EXISTS agent_identities (
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    identity_id text NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    PRIMARY KEY (agent_id, identity_id)
);
CREATE INDEX IF NOT EXISTS agent_identities_by_identity ON agent_identities (identity_id);

CREATE TABLE IF NOT EXISTS block_identities (
    block_id text NOT NULL REFERENCES blocks (id) ON DELETE CASCADE,
    identity_id text NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    PRIMARY KEY (block_id, identity_id)
);
CREATE INDEX IF NOT EXISTS block_identities_by_identity ON block_identities (identity_id);
"""

_GROUPS = """
CREATE TABLE IF NOT EXISTS groups (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    description text NOT NULL,
    -- 'round_robin', 'supervisor', 'dynamic', 'sleeptime' or 'voice_sleeptime'
    manager_type text NOT NULL,
    -- A group outlives the agent that manages it.
    manager_agent_id text REFERENCES agents (id) ON DELETE SET NULL,
    -- What else V1 says of a manager of this type.
    manager_config jsonb NOT NULL DEFAULT '{}',
    turns_counter integer,
    last_processed_message_id text,
    hidden boolean,
    project_id text,
    template_id text,
    base_template_id text,
    deployment_id text,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS groups_by_age ON groups (organization_id, created_at, id);
CREATE INDEX IF NOT EXISTS groups_by_manager ON groups (manager_agent_id)
    WHERE manager_agent_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS group_agents (
    group_id text NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    -- Its place among the agents of the group.
    position integer NOT NULL,
    PRIMARY KEY (group_id, agent_id)
);
CREATE INDEX IF NOT EXISTS group_agents_by_agent ON group_agents (agent_id);

CREATE TABLE IF NOT EXISTS group_blocks (
    group_id text NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    block_id text NOT NULL REFERENCES blocks (id) ON DELETE CASCADE,
    position integer NOT NULL,
    PRIMARY KEY (group_id, block_id)
);
CREATE INDEX IF NOT EXISTS group_blocks_by_block ON group_blocks (block_id);
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

_DOWNGRADE = """
DROP TABLE group_blocks, group_agents, groups, block_identities, agent_identities, identities;
DROP FUNCTION o_keep_places_of_identities();
DROP FUNCTION o_keep_places_of_groups();
"""


def upgrade() -> None:
    op.execute(_IDENTITIES)
    op.execute(_GROUPS)
    op.execute(_PLACES.format(table="identities"))
    op.execute(_PLACES.format(table="groups"))


def downgrade() -> None:
    op.execute(_DOWNGRADE)
