"""Of a provider's address it is known whether a client named it, who has a key and not the token.

Connections to such an address are judged. Of those that are there, the record of changes says who
made or changed them, as far as it goes back, and not what was changed: each that a key has made or
changed is judged, until the token sets its address again.
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_UPGRADE = """
ALTER TABLE providers ADD COLUMN base_url_judged boolean NOT NULL DEFAULT false;
UPDATE providers SET base_url_judged = true FROM (
    SELECT organization_id, target_id FROM audit_records
    WHERE what IN ('create_provider', 'modify_provider')
    GROUP BY organization_id, target_id HAVING bool_or(key_id IS NOT NULL)
) AS changed_by_keys
WHERE changed_by_keys.target_id = providers.id
    AND changed_by_keys.organization_id = providers.organization_id
    AND providers.origin = 'api' AND providers.base_url IS NOT NULL;
"""

_DOWNGRADE = """
ALTER TABLE providers DROP COLUMN base_url_judged;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
