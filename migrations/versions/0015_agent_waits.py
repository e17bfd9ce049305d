"""Runs that wait for the run of another agent."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_WAITS = """
-- A message from agent to agent is a run, which one run at most waits for. A row counts while both
-- are open.
CREATE TABLE IF NOT EXISTS agent_waits (
    awaited_run_id text PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS agent_waits_run_id ON agent_waits (run_id);
"""


def upgrade() -> None:
    op.execute(_WAITS)


def downgrade() -> None:
    op.execute("DROP TABLE agent_waits")
