"""What model calls met, which model a step is at, and providers that rest after many failures."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STEPS = """
-- `fallback` counts the models before the one that is asked: 0 is the agent's own. `tries` are the
-- failures of that model, `failures` those of all; `error` is the newest.
ALTER TABLE steps
    ADD COLUMN IF NOT EXISTS fallback integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS failures integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS error jsonb;
"""
_RESTS = """
-- A row is there while calls to a provider fail; `until` while it is left alone. The ids in
-- `failed_conversations` go with the time of the failure, in seconds since 1970.
CREATE TABLE IF NOT EXISTS provider_rests (
    organization_id text NOT NULL REFERENCES organizations (id),
    provider text NOT NULL,
    failed_conversations jsonb NOT NULL DEFAULT '{}',
    error_type text NOT NULL,
    error_status integer NOT NULL,
    rests integer NOT NULL DEFAULT 0,
    until timestamptz,
    PRIMARY KEY (organization_id, provider)
);
"""


def upgrade() -> None:
    op.execute(_STEPS)
    op.execute(_RESTS)


def downgrade() -> None:
    op.execute("DROP TABLE provider_rests")
    op.execute(
        "ALTER TABLE steps DROP COLUMN fallback, DROP COLUMN tries, DROP COLUMN failures, "
        "DROP COLUMN error"
    )
