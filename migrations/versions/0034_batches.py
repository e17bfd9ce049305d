"""Batches: which runs were asked for at once, in their order, and who is told of their end.

How a batch stands is what its runs say. They are named and not referred to, so that a batch knows
how many there were when some of them are gone.
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_UPGRADE = """
CREATE TABLE batches (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    run_ids text[] NOT NULL,
    body_hash text NOT NULL,
    created_by_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    cancelled_at timestamptz,
    callback_url text,
    callback_sent_at timestamptz,
    callback_status_code integer,
    callback_error text
);
CREATE INDEX batches_by_age ON batches (organization_id, created_at, id);
CREATE INDEX batches_by_body ON batches (organization_id, body_hash, created_at, id);
CREATE INDEX batches_to_call_back ON batches (created_at)
    WHERE callback_url IS NOT NULL AND callback_sent_at IS NULL;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute("DROP TABLE batches")
