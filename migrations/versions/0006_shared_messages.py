"""A copy of a message, in a fork, knows whose copy it is, so that it is shown by that id."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UPGRADE = """
-- The first message that this one goes back to; it may be deleted with its conversation.
ALTER TABLE messages ADD COLUMN copy_of text;
CREATE INDEX messages_copies ON messages (copy_of) WHERE copy_of IS NOT NULL;
"""

_DOWNGRADE = """
DROP INDEX messages_copies;
ALTER TABLE messages DROP COLUMN copy_of;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
