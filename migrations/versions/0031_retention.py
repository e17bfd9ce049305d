"""How often a file was begun to be read: one that its worker dies of is given up.

What is old goes by indexes that were there before.
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A constant default writes no row of the table.
    op.execute("ALTER TABLE files ADD COLUMN attempts integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE files DROP COLUMN attempts")
