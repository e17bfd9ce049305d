"""What was moved in from another server, how it stood there, and how it stood here after.

By it a later run tells what is unchanged, what was changed there, and what was changed here.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_UPGRADE = """
CREATE TABLE moved_rows (
    organization_id text NOT NULL REFERENCES organizations (id),
    kind text NOT NULL,
    id text NOT NULL,
    source text NOT NULL,
    source_hash text NOT NULL,
    moved_hash text NOT NULL,
    notes jsonb NOT NULL DEFAULT '{}',
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, id)
);

-- In a history and never in its window: what the other server did not show its model any more,
-- though it showed what was said before. A constant default writes no row of the table.
ALTER TABLE messages ADD COLUMN is_aside boolean NOT NULL DEFAULT false;
"""

_DOWNGRADE = """
ALTER TABLE messages DROP COLUMN is_aside;
DROP TABLE moved_rows;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
