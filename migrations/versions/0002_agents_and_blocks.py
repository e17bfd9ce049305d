"""Everything that V1 keeps of agents and blocks; block history; epochs of conversations."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AGENT_COLUMNS = (
    "llm_options jsonb NOT NULL DEFAULT '{}'",
    "embedding_config jsonb",
    "compaction_settings jsonb",
    "response_format jsonb",
    "tool_rules jsonb NOT NULL DEFAULT '[]'",
    "message_buffer_autoclear boolean NOT NULL DEFAULT false",
    "enable_sleeptime boolean",
    "max_files_open integer",
    "per_file_view_window_char_limit integer",
    "hidden boolean",
    "project_id text",
    "template_id text",
    "base_template_id text",
    "last_run_duration_ms bigint",
)
_BLOCK_COLUMNS = (
    "project_id text",
    "is_template boolean NOT NULL DEFAULT false",
    "template_name text",
    "template_id text",
    "base_template_id text",
    "deployment_id text",
    "entity_id text",
    "preserve_on_migration boolean NOT NULL DEFAULT false",
    "hidden boolean",
    "changed_by text",
)

_UPGRADE = """
-- Counts every change of history other than appending, so that readers know what they may keep.
ALTER TABLE conversations ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

CREATE INDEX agents_by_change ON agents (organization_id, updated_at, id);
CREATE INDEX blocks_by_age ON blocks (organization_id, created_at, id);

CREATE TABLE block_versions (
    block_id text NOT NULL REFERENCES blocks (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    value text NOT NULL,
    label text NOT NULL,
    description text,
    limit_chars integer NOT NULL,
    actor text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (block_id, version)
);
INSERT INTO block_versions
    (block_id, version, value, label, description, limit_chars, actor, created_at)
SELECT id, version, value, label, description, limit_chars, last_updated_by_id, updated_at
FROM blocks;

-- Every version is kept by the statement that makes it, whoever sends it.
CREATE FUNCTION o_keep_block_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_versions (block_id, version, value, label, description, limit_chars, actor)
    VALUES (NEW.id, NEW.version, NEW.value, NEW.label, NEW.description, NEW.limit_chars,
            coalesce(NEW.changed_by, NEW.last_updated_by_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER blocks_keep_first_version AFTER INSERT ON blocks
FOR EACH ROW EXECUTE FUNCTION o_keep_block_version();
CREATE TRIGGER blocks_keep_version AFTER UPDATE ON blocks
FOR EACH ROW WHEN (NEW.version <> OLD.version) EXECUTE FUNCTION o_keep_block_version();
"""

_DOWNGRADE = """
DROP TRIGGER blocks_keep_version ON blocks;
DROP TRIGGER blocks_keep_first_version ON blocks;
DROP FUNCTION o_keep_block_version();
DROP TABLE block_versions;
DROP INDEX blocks_by_age;
DROP INDEX agents_by_change;
ALTER TABLE conversations DROP COLUMN epoch;
"""


def upgrade() -> None:
    for table, columns in (("agents", _AGENT_COLUMNS), ("blocks", _BLOCK_COLUMNS)):
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {c}" for c in columns))
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
    for table, columns in (("agents", _AGENT_COLUMNS), ("blocks", _BLOCK_COLUMNS)):
        names = [column.split()[0] for column in columns]
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {n}" for n in names))
