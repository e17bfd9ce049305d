"""A step that begins places its run's input by itself; notices carry the events they tell of."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DIGEST = "sha256(convert_to(run_id || E'\\x1finput\\x1f' || place, 'UTF8'))"
_UPGRADE = """
-- The same id as `o.domain.messages.input_message_id`: a digest shaped as a UUIDv4 whose low 7 bits
-- are zero. One expression with the digest repeated, because PostgreSQL inlines nothing else, and
-- a call that is not inlined costs a tenth of a millisecond.
CREATE FUNCTION o_input_message_id(run_id text, place bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'message-' || CAST(
    substr(encode({digest}, 'hex'), 1, 12)
    || '4' || substr(encode({digest}, 'hex'), 14, 3)
    || substr('89ab89ab89ab89ab', 1 + (get_byte({digest}, 8) >> 4), 1)
    || substr(encode({digest}, 'hex'), 18, 13)
    || CASE WHEN get_byte({digest}, 15) < 128 THEN '00' ELSE '80' END
AS uuid);

-- Whoever waits for a run listens on one channel. The payload is the run's id and, behind a space,
-- the events as JSON; PostgreSQL takes less than 8,000 bytes, so long ones are left to be read.
CREATE OR REPLACE FUNCTION o_notify_run_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('o_run_events',
        CASE WHEN octet_length(told) < 7800 THEN run_id || ' ' || told ELSE run_id END)
    FROM (
        SELECT run_id, json_agg(json_build_object(
            'run_id', run_id, 'seq', seq, 'attempt', attempt, 'kind', kind, 'body', body
        ) ORDER BY seq)::text AS told
        FROM appended GROUP BY run_id
    ) AS news;
    RETURN NULL;
END
$$;
"""

_DOWNGRADE = """
CREATE OR REPLACE FUNCTION o_notify_run_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('o_run_events', run_id) FROM (SELECT DISTINCT run_id FROM appended) AS run;
    RETURN NULL;
END
$$;
DROP FUNCTION o_input_message_id(text, bigint);
"""


def upgrade() -> None:
    op.execute(_UPGRADE.replace("{digest}", _DIGEST))


def downgrade() -> None:
    op.execute(_DOWNGRADE)
