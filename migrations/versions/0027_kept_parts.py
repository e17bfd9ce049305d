"""What came with imported agents and is kept for exports alone.

An agent file or a V1 database may hold what O cannot act on: skills, parts of a later release, the
type of a voice agent. It is stored as it came, with the row that it belongs to, and stands in that
row's exports again. `source` says where it came from (`af`, `letta`), `name` what it is there. The
owner is a row of one of several tables, so that triggers do what a reference would: a part goes
with its owner. They look for a key that few rows have, and hold no lock on the tables they are on.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


_OWNERS = ("agents", "blocks", "tools", "mcp_servers", "folders")


def upgrade() -> None:
    """A table, empty at first, and what removes its rows."""
    op.execute(
        """
        CREATE TABLE kept_parts (
            organization_id text NOT NULL REFERENCES organizations (id),
            owner_id text NOT NULL,
            source text NOT NULL,
            name text NOT NULL,
            part jsonb NOT NULL,
            PRIMARY KEY (owner_id, source, name)
        );
        CREATE FUNCTION o_drop_kept_parts() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM kept_parts WHERE owner_id = OLD.id;
            RETURN NULL;
        END
        $$;
        """
    )
    for table in _OWNERS:
        op.execute(
            f"CREATE TRIGGER {table}_drop_kept_parts AFTER DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION o_drop_kept_parts()"
        )


def downgrade() -> None:
    """Without it."""
    for table in _OWNERS:
        op.execute(f"DROP TRIGGER {table}_drop_kept_parts ON {table}")
    op.execute("DROP FUNCTION o_drop_kept_parts; DROP TABLE kept_parts")
