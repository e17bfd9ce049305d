"""What was learnt of models by their refusals."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS model_lessons (
            organization_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
            provider text NOT NULL,
            model text NOT NULL,
            lesson text NOT NULL,
            provider_mark text NOT NULL,
            learnt_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (organization_id, provider, model, lesson)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS model_lessons")
