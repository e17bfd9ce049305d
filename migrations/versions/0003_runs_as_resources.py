"""What runs and steps are asked for: times of the model, first token, feedback, order by age."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UPGRADE = """
ALTER TABLE steps
    ADD COLUMN model_started_ns bigint,
    ADD COLUMN model_ns bigint,
    ADD COLUMN feedback text,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
CREATE INDEX steps_by_age ON steps (organization_id, created_at, id);

ALTER TABLE runs
    ADD COLUMN first_token_at timestamptz,
    ADD COLUMN events_kept boolean NOT NULL DEFAULT true;
CREATE INDEX runs_by_age ON runs (organization_id, created_at, id);
CREATE INDEX runs_with_events ON runs (completed_at)
    WHERE events_kept AND completed_at IS NOT NULL;
"""

_DOWNGRADE = """
DROP INDEX runs_with_events;
DROP INDEX runs_by_age;
ALTER TABLE runs DROP COLUMN first_token_at, DROP COLUMN events_kept;
DROP INDEX steps_by_age;
ALTER TABLE steps
    DROP COLUMN model_started_ns, DROP COLUMN model_ns, DROP COLUMN feedback, DROP COLUMN tags;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
