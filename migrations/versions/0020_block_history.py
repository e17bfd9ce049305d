"""How each version of a block was made, and where undo and redo lead from it."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_UPGRADE = """
-- Of the newest version: the tool that made it, or 'api', 'undo', 'redo', 'restore'; and its run.
ALTER TABLE blocks ADD COLUMN changed_via text, ADD COLUMN changed_in text;

-- All of it is null in versions of earlier releases.
ALTER TABLE block_versions
    ADD COLUMN via text,
    ADD COLUMN run_id text,
    -- What a version holds beside its value, label, description and limit.
    ADD COLUMN fields jsonb,
    -- The version that brought this content: its own number, but for what undo and redo made.
    ADD COLUMN origin bigint,
    -- The origins that undo and redo lead to.
    ADD COLUMN undo_to bigint,
    ADD COLUMN redo_to bigint;

-- Finds the blocks whose history has grown long.
CREATE INDEX block_versions_by_thousands ON block_versions (block_id, version)
    WHERE version % 1000 = 0;

CREATE OR REPLACE FUNCTION o_keep_block_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_versions (
        block_id, version, value, label, description, limit_chars, actor,
        via, run_id, fields, origin, undo_to
    )
    VALUES (
        NEW.id, NEW.version, NEW.value, NEW.label, NEW.description, NEW.limit_chars,
        coalesce(NEW.changed_by, NEW.last_updated_by_id), NEW.changed_via, NEW.changed_in,
        jsonb_build_object(
            'read_only', NEW.read_only,
            'metadata', NEW.metadata,
            'tags', NEW.tags,
            'project_id', NEW.project_id,
            'is_template', NEW.is_template,
            'template_name', NEW.template_name,
            'template_id', NEW.template_id,
            'base_template_id', NEW.base_template_id,
            'deployment_id', NEW.deployment_id,
            'entity_id', NEW.entity_id,
            'preserve_on_migration', NEW.preserve_on_migration,
            'hidden', NEW.hidden
        ),
        NEW.version,
        (
            SELECT coalesce(origin, version) FROM block_versions
            WHERE block_id = NEW.id AND version < NEW.version
            ORDER BY version DESC LIMIT 1
        )
    );
    RETURN NULL;
END
$$;
"""

_DOWNGRADE = """
CREATE OR REPLACE FUNCTION o_keep_block_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_versions (block_id, version, value, label, description, limit_chars, actor)
    VALUES (NEW.id, NEW.version, NEW.value, NEW.label, NEW.description, NEW.limit_chars,
            coalesce(NEW.changed_by, NEW.last_updated_by_id));
    RETURN NULL;
END
$$;
DROP INDEX block_versions_by_thousands;
ALTER TABLE block_versions
    DROP COLUMN redo_to, DROP COLUMN undo_to, DROP COLUMN origin, DROP COLUMN fields,
    DROP COLUMN run_id, DROP COLUMN via;
ALTER TABLE blocks DROP COLUMN changed_in, DROP COLUMN changed_via;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
