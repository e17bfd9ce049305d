"""Passages wait for their vectors in a table, which triggers fill."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TABLE = """
-- When the archive's passages are looked at again; none where all have their vectors. It lies
-- ahead while a worker is at it, and at infinity where no model is there.
ALTER TABLE archives ADD COLUMN IF NOT EXISTS embed_after timestamptz;
-- Whether passages that have to get vectors anew are still to be put into the table below.
ALTER TABLE archives ADD COLUMN IF NOT EXISTS is_filling boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS archives_to_embed ON archives (embed_after)
WHERE embed_after IS NOT NULL;

CREATE TABLE IF NOT EXISTS passages_to_embed (
    passage_id text PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE,
    archive_id text NOT NULL,
    -- 0: it is new; 1: it is embedded anew; 2: the model refuses it.
    rank smallint NOT NULL DEFAULT 0,
    problem text NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS passages_to_embed_by_rank
ON passages_to_embed (archive_id, rank, passage_id);
"""

# The trigger that counts passages has locked the archives' rows: its name comes before these.
_TRIGGERS = """
CREATE OR REPLACE FUNCTION o_passages_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO passages_to_embed (passage_id, archive_id) SELECT id, archive_id FROM changed
    ON CONFLICT (passage_id) DO UPDATE SET rank = 0, problem = '';
    UPDATE archives SET embed_after = now()
    WHERE embed_after IS NULL AND id IN (SELECT archive_id FROM changed);
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION o_passages_reworded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.text IS NOT DISTINCT FROM old.text THEN
        RETURN NULL;
    END IF;
    DELETE FROM passage_vectors WHERE passage_id = new.id;
    INSERT INTO passages_to_embed (passage_id, archive_id) VALUES (new.id, new.archive_id)
    ON CONFLICT (passage_id) DO UPDATE SET rank = 0, problem = '';
    UPDATE archives SET embed_after = now() WHERE embed_after IS NULL AND id = new.archive_id;
    RETURN NULL;
END
$$;
-- Another model: it makes vectors of everything.
CREATE OR REPLACE FUNCTION o_archive_has_another_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.embed_after = now();
    RETURN new;
END
$$;
CREATE OR REPLACE TRIGGER archives_have_another_model BEFORE UPDATE OF embedding ON archives
FOR EACH ROW WHEN (old.embedding IS NOT NULL AND new.embedding IS DISTINCT FROM old.embedding)
EXECUTE FUNCTION o_archive_has_another_model();
CREATE OR REPLACE TRIGGER passages_wait AFTER INSERT ON passages
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION o_passages_wait();
CREATE OR REPLACE TRIGGER passages_reworded AFTER UPDATE OF text ON passages
FOR EACH ROW EXECUTE FUNCTION o_passages_reworded();
"""

_WAITING = """
INSERT INTO passages_to_embed (passage_id, archive_id, rank) SELECT id, archive_id, 1 FROM passages
ON CONFLICT DO NOTHING;
UPDATE archives SET embed_after = now() WHERE passage_count > 0;
"""

_DOWNGRADE = """
DROP TRIGGER passages_wait ON passages;
DROP TRIGGER passages_reworded ON passages;
DROP TRIGGER archives_have_another_model ON archives;
DROP FUNCTION o_archive_has_another_model();
DROP FUNCTION o_passages_wait();
DROP FUNCTION o_passages_reworded();
DROP TABLE passages_to_embed;
ALTER TABLE archives DROP COLUMN embed_after, DROP COLUMN is_filling;
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute(_TRIGGERS)
    op.execute(_WAITING)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
