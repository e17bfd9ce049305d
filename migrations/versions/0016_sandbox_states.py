"""What each worker runs tools in, for the API to show, which has no access to sandboxes."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_STATES = """
-- A row is as old as the last word of its worker; old ones are deleted by those that come.
CREATE TABLE IF NOT EXISTS sandbox_states (
    worker text PRIMARY KEY,
    state jsonb NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    op.execute(_STATES)


def downgrade() -> None:
    op.execute("DROP TABLE sandbox_states")
