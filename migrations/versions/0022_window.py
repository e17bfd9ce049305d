"""The window of a conversation: what of its history stands in the prompt."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_UPGRADE = """
-- Messages at later positions are in the prompt, behind the system message and the summary.
ALTER TABLE conversations ADD COLUMN IF NOT EXISTS window_start bigint NOT NULL DEFAULT 0;
-- The message of role 'summary' that tells of what is before; null before the first compaction.
ALTER TABLE conversations ADD COLUMN IF NOT EXISTS summary_id text;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute("ALTER TABLE conversations DROP COLUMN summary_id, DROP COLUMN window_start")
