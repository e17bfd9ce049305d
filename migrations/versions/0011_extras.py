"""What providers add to their replies, which goes back to them."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that is empty for all that is stored."""
    op.execute("ALTER TABLE messages ADD COLUMN IF NOT EXISTS extras jsonb")


def downgrade() -> None:
    """Forget what they added: the conversations go on without it."""
    op.execute("ALTER TABLE messages DROP COLUMN IF EXISTS extras")
