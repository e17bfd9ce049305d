"""Providers of models as rows, and a mark by which a worker sees that they have changed."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UPGRADE = """
CREATE TABLE IF NOT EXISTS providers (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    provider_type text NOT NULL,
    -- 'api' or 'environment'
    origin text NOT NULL DEFAULT 'api',
    base_url text,
    -- Encrypted; each names its key.
    api_key text,
    access_key text,
    region text,
    api_version text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_synced timestamptz,
    UNIQUE (organization_id, name)
);

-- Random, so that a database that was restored has never the mark of another state.
ALTER TABLE organizations ADD COLUMN IF NOT EXISTS providers_mark text NOT NULL DEFAULT '';

CREATE OR REPLACE FUNCTION o_mark_providers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organizations SET providers_mark = gen_random_uuid()::text
    WHERE id = coalesce(NEW.organization_id, OLD.organization_id);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER providers_mark AFTER INSERT OR UPDATE OR DELETE ON providers
FOR EACH ROW EXECUTE FUNCTION o_mark_providers();

CREATE OR REPLACE FUNCTION o_keep_places_of_providers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, organization_id, created_at, shown_id, kind)
    SELECT id, organization_id, created_at, id, 'providers' FROM gone
    ON CONFLICT (shown_id, id) DO UPDATE SET organization_id = excluded.organization_id,
        created_at = excluded.created_at, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER providers_keep_places AFTER DELETE ON providers
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_providers();
"""

_DOWNGRADE = """
DROP TABLE providers;
DROP FUNCTION o_mark_providers();
DROP FUNCTION o_keep_places_of_providers();
ALTER TABLE organizations DROP COLUMN providers_mark;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
