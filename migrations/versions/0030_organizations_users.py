"""Organizations and users that are deleted are marked, and what they had goes later.

Their rows stay, because the record of who did what refers to them.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_UPGRADE = """
ALTER TABLE organizations ADD COLUMN deleted_at timestamptz, ADD COLUMN purged_at timestamptz;
ALTER TABLE users ADD COLUMN updated_at timestamptz, ADD COLUMN deleted_at timestamptz;
-- For who sees all organizations, and for what is old in any of them.
CREATE INDEX audit_records_by_time ON audit_records (created_at, id);
"""

_DOWNGRADE = """
DROP INDEX audit_records_by_time;
ALTER TABLE users DROP COLUMN updated_at, DROP COLUMN deleted_at;
ALTER TABLE organizations DROP COLUMN deleted_at, DROP COLUMN purged_at;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
