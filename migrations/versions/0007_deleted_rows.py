"""Where deleted rows stood in lists, so that a client that pages by one of them can go on."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = """
-- `shown_id` is the id by which clients know the row. No foreign key: nothing hangs on it, and a
-- purge of many rows would look its organisation up for each.
CREATE TABLE deleted_rows (
    shown_id text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    organization_id text NOT NULL,
    agent_id text,
    conversation_id text,
    run_id text,
    step_id text,
    position bigint,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    last_message_at timestamptz,
    last_run_completion timestamptz,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shown_id, id)
);
CREATE INDEX deleted_rows_by_age ON deleted_rows (deleted_at);
"""

# What each list goes by beside id, organisation and age.
_KEPT = {
    "agents": ("updated_at", "last_run_completion"),
    "blocks": (),
    "runs": (),
    "steps": (),
    "messages": ("agent_id", "conversation_id", "run_id", "step_id", "position"),
}
_ONCE_A_STATEMENT = """
CREATE FUNCTION o_keep_places_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows ({columns}, shown_id, kind)
    SELECT {columns}, {shown_id}, '{table}' FROM gone
    ON CONFLICT (shown_id, id) DO UPDATE SET {anew}, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER {table}_keep_places AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_{table}();
"""
# Before its runs go with it, since it is listed by the end of the last one. There are few.
_CONVERSATIONS = """
CREATE FUNCTION o_keep_places_of_conversations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, shown_id, kind, organization_id, created_at, last_message_at,
        last_run_completion)
    VALUES (OLD.id, OLD.id, 'conversations', OLD.organization_id, OLD.created_at,
        OLD.last_message_at,
        (SELECT max(completed_at) FROM runs WHERE conversation_id = OLD.id))
    ON CONFLICT (shown_id, id) DO NOTHING;
    RETURN OLD;
END
$$;
CREATE TRIGGER conversations_keep_places BEFORE DELETE ON conversations
FOR EACH ROW EXECUTE FUNCTION o_keep_places_of_conversations();
"""


def upgrade() -> None:
    op.execute(_TABLE)
    for table, kept in _KEPT.items():
        columns = ("id", "organization_id", "created_at", *kept)
        op.execute(
            _ONCE_A_STATEMENT.format(
                table=table,
                columns=", ".join(columns),
                shown_id="coalesce(copy_of, id)" if table == "messages" else "id",
                anew=", ".join(f"{column} = excluded.{column}" for column in columns[1:]),
            )
        )
    op.execute(_CONVERSATIONS)


def downgrade() -> None:
    for table in (*_KEPT, "conversations"):
        op.execute(f"DROP TRIGGER {table}_keep_places ON {table}")
        op.execute(f"DROP FUNCTION o_keep_places_of_{table}()")
    op.execute("DROP TABLE deleted_rows")
