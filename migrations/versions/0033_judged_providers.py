"""Of a provider's address it is known whether a client named it, who has a key and not the token.

Connections to such an address are judged. Of those that are there, the record of changes says so
as far as it goes back: one whose last change was by a key.
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_UPGRADE = """
ALTER TABLE providers ADD COLUMN base_url_judged boolean NOT NULL DEFAULT false;
UPDATE providers SET base_url_judged = true FROM (
    SELECT DISTINCT ON (organization_id, target_id) organization_id, target_id, key_id
    FROM audit_records WHERE what IN ('create_provider', 'modify_provider')
    ORDER BY organization_id, target_id, created_at DESC, id DESC
) AS last_change
WHERE last_change.target_id = providers.id
    AND last_change.organization_id = providers.organization_id
    AND last_change.key_id IS NOT NULL
    AND providers.origin = 'api' AND providers.base_url IS NOT NULL;
"""

_DOWNGRADE = """
ALTER TABLE providers DROP COLUMN base_url_judged;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
