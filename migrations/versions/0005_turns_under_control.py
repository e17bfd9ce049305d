"""Approvals, conversations beside an agent's own thread, callbacks of runs."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_UPGRADE = """
-- A step that a person, or the client's own tools, must answer before anything else happens in
-- its conversation. The id is that of the message which asks.
CREATE TABLE approvals (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    run_id text NOT NULL,
    step_id text NOT NULL,
    step_index integer NOT NULL,
    calls jsonb NOT NULL,
    digest text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    decisions jsonb NOT NULL DEFAULT '[]',
    answer_run_id text,
    decided_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    decided_at timestamptz
);
CREATE UNIQUE INDEX approvals_one_pending ON approvals (conversation_id) WHERE status = 'pending';
CREATE INDEX approvals_pending_by_agent ON approvals (agent_id) WHERE status = 'pending';
CREATE INDEX approvals_by_conversation ON approvals (conversation_id, created_at);
CREATE INDEX approvals_to_expire ON approvals (expires_at)
    WHERE status = 'pending' AND expires_at IS NOT NULL;

ALTER TABLE agents ADD COLUMN approval_timeout_s integer;

-- `approval_id` is what the run answers; `origin_run_id` the run of the request which that goes
-- back to, null for a run that is its own origin.
ALTER TABLE runs
    ADD COLUMN approval_id text,
    ADD COLUMN origin_run_id text,
    ADD COLUMN callback_url text,
    ADD COLUMN callback_sent_at timestamptz,
    ADD COLUMN callback_status_code integer,
    ADD COLUMN callback_error text;
CREATE INDEX runs_by_origin ON runs (origin_run_id) WHERE origin_run_id IS NOT NULL;
CREATE INDEX runs_to_call_back ON runs (completed_at)
    WHERE callback_url IS NOT NULL AND callback_sent_at IS NULL;

ALTER TABLE messages ADD COLUMN approval jsonb;

-- A model or settings that are null are the agent's.
ALTER TABLE conversations
    ADD COLUMN summary text,
    ADD COLUMN model text,
    ADD COLUMN model_settings jsonb,
    ADD COLUMN created_by_id text,
    ADD COLUMN last_updated_by_id text,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_message_at timestamptz,
    ADD COLUMN deleted_at timestamptz;
CREATE INDEX conversations_by_age ON conversations (agent_id, created_at, id);
CREATE INDEX conversations_to_purge ON conversations (id) WHERE deleted_at IS NOT NULL;

-- Blocks that a conversation has to itself, in the place of the agent's of the same label.
CREATE TABLE conversation_blocks (
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    label text NOT NULL,
    block_id text NOT NULL REFERENCES blocks (id) ON DELETE CASCADE,
    PRIMARY KEY (conversation_id, label)
);
CREATE INDEX conversation_blocks_by_block ON conversation_blocks (block_id);
"""

_DOWNGRADE = """
DROP TABLE conversation_blocks;
DROP INDEX conversations_to_purge;
DROP INDEX conversations_by_age;
ALTER TABLE conversations
    DROP COLUMN summary, DROP COLUMN model, DROP COLUMN model_settings,
    DROP COLUMN created_by_id, DROP COLUMN last_updated_by_id, DROP COLUMN updated_at,
    DROP COLUMN last_message_at, DROP COLUMN deleted_at;
ALTER TABLE messages DROP COLUMN approval;
DROP INDEX runs_to_call_back;
DROP INDEX runs_by_origin;
ALTER TABLE runs
    DROP COLUMN approval_id, DROP COLUMN origin_run_id, DROP COLUMN callback_url,
    DROP COLUMN callback_sent_at, DROP COLUMN callback_status_code, DROP COLUMN callback_error;
ALTER TABLE agents DROP COLUMN approval_timeout_s;
DROP TABLE approvals;
"""


def upgrade() -> None:
    op.execute(_UPGRADE)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
