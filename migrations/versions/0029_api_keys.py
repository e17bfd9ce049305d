"""Keys of the API, and a record of who did what.

A key is kept as the SHA-256 of its text only. The text is 256 random bits, so that nobody can try
texts until one fits, and a slow hash would add nothing but time to every request.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_UPGRADE = """
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    user_id text NOT NULL REFERENCES users (id),
    name text NOT NULL,
    prefix text NOT NULL,
    hash text NOT NULL UNIQUE,
    scopes text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of_organization ON api_keys (organization_id, created_at, id);

-- Nobody changes what is on record.
CREATE TABLE audit_records (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    user_id text,
    key_id text,
    what text NOT NULL,
    target_id text,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL
);
CREATE INDEX audit_records_of_organization ON audit_records (organization_id, created_at, id);
CREATE FUNCTION o_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records of who did what are never changed';
END $$;
CREATE TRIGGER audit_records_stay BEFORE UPDATE ON audit_records
    FOR EACH ROW EXECUTE FUNCTION o_refuse_change();
"""

_DOWNGRADE = """
DROP TABLE audit_records;
DROP FUNCTION o_refuse_change();
DROP TABLE api_keys;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
