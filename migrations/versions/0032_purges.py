"""What a deleted organization had is found by indexes, and so are those that were deleted.

All of them are small beside the tables of messages and passages, which go with their parents.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_UPGRADE = """
CREATE INDEX moved_rows_of_organization ON moved_rows (organization_id);
CREATE INDEX users_of_organization ON users (organization_id, created_at, id);
-- Those that have something left, or may have got something while they were purged.
CREATE INDEX organizations_to_purge ON organizations (id) WHERE deleted_at IS NOT NULL
    AND (purged_at IS NULL OR purged_at - deleted_at < interval '1 day');
"""

_DOWNGRADE = """
DROP INDEX organizations_to_purge;
DROP INDEX users_of_organization;
DROP INDEX moved_rows_of_organization;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
