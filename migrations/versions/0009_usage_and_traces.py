"""What was used stays when steps are deleted; traces of model calls have a table of their own."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_USAGE = """
-- A number of a step's usage, whatever is stored there: a sum must not fail for one row.
CREATE OR REPLACE FUNCTION o_used(usage jsonb, name text) RETURNS bigint LANGUAGE sql IMMUTABLE
PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(usage -> name) = 'number'
        THEN least(greatest((usage ->> name)::numeric, 0), 1000000000000000)::bigint END
$$;

-- What no committed step tells of: steps that were deleted, replies that could not be used.
-- By the day in UTC. No foreign key: it outlives its agent.
CREATE TABLE IF NOT EXISTS other_usage (
    organization_id text NOT NULL,
    agent_id text NOT NULL,
    model text NOT NULL,
    day date NOT NULL,
    calls bigint NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    cached_input_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    cost_nano bigint,
    unpriced_calls bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, agent_id, model, day)
);
CREATE INDEX IF NOT EXISTS other_usage_by_day ON other_usage (organization_id, day);
"""

_SUMS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_KEPT = f"""
CREATE OR REPLACE FUNCTION o_keep_usage_of_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO other_usage AS known (organization_id, agent_id, model, day, calls,
        {", ".join(_SUMS)}, cost_nano, unpriced_calls)
    SELECT organization_id, agent_id, model, (created_at AT TIME ZONE 'UTC')::date, count(*),
        {", ".join(f"coalesce(sum(o_used(usage, '{name}')), 0)" for name in _SUMS)},
        sum(o_used(usage, 'cost_nano')),
        count(*) - count(o_used(usage, 'cost_nano'))
    FROM gone WHERE status = 'success'
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, agent_id, model, day) DO UPDATE SET
        calls = known.calls + excluded.calls,
        {", ".join(f"{name} = known.{name} + excluded.{name}" for name in _SUMS)},
        cost_nano = CASE WHEN known.cost_nano IS NULL THEN excluded.cost_nano
            ELSE known.cost_nano + coalesce(excluded.cost_nano, 0) END,
        unpriced_calls = known.unpriced_calls + excluded.unpriced_calls;
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS steps_keep_usage ON steps;
CREATE TRIGGER steps_keep_usage AFTER DELETE ON steps REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_usage_of_steps();
"""  # noqa: S608

_TRACES = """
-- `request` and `response` are JSON, as it is shown; `details` has what is known beside them.
CREATE TABLE IF NOT EXISTS step_traces (
    step_id text PRIMARY KEY REFERENCES steps (id) ON DELETE CASCADE,
    organization_id text NOT NULL REFERENCES organizations (id),
    attempt integer NOT NULL,
    request text NOT NULL,
    response text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS step_traces_by_age ON step_traces (created_at);
"""


def upgrade() -> None:
    for statements in (_USAGE, _KEPT, _TRACES):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE step_traces")
    op.execute("DROP TRIGGER steps_keep_usage ON steps")
    op.execute("DROP FUNCTION o_keep_usage_of_steps()")
    op.execute("DROP TABLE other_usage")
    op.execute("DROP FUNCTION o_used(jsonb, text)")
