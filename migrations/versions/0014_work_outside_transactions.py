"""What the API asks of workers, and which tool calls may have had an effect."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_REQUESTS = """
-- `request` and `result` are JSON, encrypted: they may hold arguments and secrets.
CREATE TABLE IF NOT EXISTS worker_requests (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    kind text NOT NULL,
    request text NOT NULL,
    result text,
    started_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS worker_requests_by_age ON worker_requests (created_at);
"""
_STARTS = """
-- A row is there from before a call can have an effect outside of this database.
CREATE TABLE IF NOT EXISTS tool_starts (
    step_id text NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    ordinal integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (step_id, ordinal)
);
"""


def upgrade() -> None:
    op.execute(_REQUESTS)
    op.execute(_STARTS)


def downgrade() -> None:
    op.execute("DROP TABLE worker_requests")
    op.execute("DROP TABLE tool_starts")
