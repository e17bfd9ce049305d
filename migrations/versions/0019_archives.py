"""Archives and their passages, with vectors of any dimension beside one another."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_ARCHIVES = """
CREATE EXTENSION IF NOT EXISTS vector;

-- Vectors that may be compared: those that one model makes for one organization.
CREATE TABLE IF NOT EXISTS vector_spaces (
    id bigserial PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    handle text NOT NULL,
    dimension integer NOT NULL,
    -- Of the index over its vectors; none where there are few.
    index_name text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, handle, dimension)
);

CREATE TABLE IF NOT EXISTS archives (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    description text,
    metadata jsonb,
    -- The handle of its embedding model; none where words alone are searched.
    embedding text,
    embedding_config json,
    -- Where searches look, and where its vectors are going while it is embedded anew.
    space_id bigint REFERENCES vector_spaces (id),
    next_space_id bigint REFERENCES vector_spaces (id),
    -- Why passages are not embedded; empty when they are.
    problem text NOT NULL DEFAULT '',
    -- Kept by a trigger of `passages`.
    passage_count bigint NOT NULL DEFAULT 0,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX IF NOT EXISTS archives_by_age ON archives (organization_id, created_at, id);
CREATE INDEX IF NOT EXISTS archives_deleted ON archives (id) WHERE deleted_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS agent_archives (
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    archive_id text NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    -- Whether the archive was made for this agent.
    is_owner boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, archive_id)
);
CREATE INDEX IF NOT EXISTS agent_archives_by_archive ON agent_archives (archive_id);
"""

_PASSAGES = """
CREATE TABLE IF NOT EXISTS passages (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    archive_id text NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    text text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    -- A digest of its words, the same for texts that differ in case, blanks and punctuation.
    key text NOT NULL,
    -- Whether a client that had asked for it before asked for it again.
    is_repeat boolean NOT NULL DEFAULT false,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS passages_by_age ON passages (archive_id, created_at, id);
CREATE INDEX IF NOT EXISTS passages_by_words ON passages (archive_id, key);

CREATE TABLE IF NOT EXISTS passage_vectors (
    passage_id text NOT NULL REFERENCES passages (id) ON DELETE CASCADE,
    space_id bigint NOT NULL REFERENCES vector_spaces (id) ON DELETE CASCADE,
    archive_id text NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (passage_id, space_id)
);
CREATE INDEX IF NOT EXISTS passage_vectors_by_archive ON passage_vectors (archive_id, space_id);

-- How many passages of an archive have a tag. Kept by a trigger of `passages`.
CREATE TABLE IF NOT EXISTS archive_tags (
    archive_id text NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    tag text NOT NULL,
    passage_count bigint NOT NULL,
    PRIMARY KEY (archive_id, tag)
);
"""

# The archive's row comes first, so that whoever counts waits there for the others.
_COUNTS = """
CREATE OR REPLACE FUNCTION o_count_passages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
BEGIN
    PERFORM 1 FROM archives WHERE id IN (SELECT archive_id FROM changed)
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE archives SET passage_count = passage_count + sign * counted.number
    FROM (SELECT archive_id, count(*) AS number FROM changed GROUP BY archive_id) counted
    WHERE archives.id = counted.archive_id;
    INSERT INTO archive_tags (archive_id, tag, passage_count)
    SELECT changed.archive_id, tag, sign * count(*)
    FROM changed JOIN archives ON archives.id = changed.archive_id, unnest(changed.tags) AS tag
    GROUP BY changed.archive_id, tag
    ON CONFLICT (archive_id, tag)
    DO UPDATE SET passage_count = archive_tags.passage_count + excluded.passage_count;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM archive_tags WHERE passage_count <= 0 AND (archive_id, tag) IN (
            SELECT changed.archive_id, tag FROM changed, unnest(changed.tags) AS tag
        );
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER passages_count_more AFTER INSERT ON passages
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION o_count_passages();
CREATE OR REPLACE TRIGGER passages_count_fewer AFTER DELETE ON passages
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION o_count_passages();
"""

# Not of passages that go with their archive: their list has gone before them.
_PLACES = """
CREATE OR REPLACE FUNCTION o_keep_places_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, organization_id, created_at, shown_id, kind)
    SELECT id, organization_id, created_at, id, '{table}' FROM gone {which}
    ON CONFLICT (shown_id, id) DO UPDATE SET organization_id = excluded.organization_id,
        created_at = excluded.created_at, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER {table}_keep_places AFTER DELETE ON {table}
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_{table}();
"""
_OF_LIVING_ARCHIVES = """
    WHERE EXISTS (SELECT 1 FROM archives
        WHERE archives.id = gone.archive_id AND archives.deleted_at IS NULL)
"""

_DOWNGRADE = """
DROP TABLE archive_tags, passage_vectors, passages, agent_archives, archives, vector_spaces;
DROP FUNCTION o_count_passages();
DROP FUNCTION o_keep_places_of_archives();
DROP FUNCTION o_keep_places_of_passages();
"""


def upgrade() -> None:
    op.execute(_ARCHIVES)
    op.execute(_PASSAGES)
    op.execute(_COUNTS)
    op.execute(_PLACES.format(table="archives", which=""))
    op.execute(_PLACES.format(table="passages", which=_OF_LIVING_ARCHIVES))


def downgrade() -> None:
    op.execute(_DOWNGRADE)
