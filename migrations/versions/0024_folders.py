"""Folders of files, and which agents have them open.

The passages of a folder stand in an archive of its own, so that they are embedded, indexed and
searched as all passages are. The new columns of `passages` are empty: adding them changes no row,
and their index is made by reading the table once.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_FOLDERS = """
-- Whether an archive is what a folder keeps its passages in: no list of archives has it.
ALTER TABLE archives ADD COLUMN IF NOT EXISTS is_folder boolean NOT NULL DEFAULT false;

CREATE TABLE IF NOT EXISTS folders (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    description text,
    instructions text,
    metadata jsonb,
    -- As it was named; what its passages are embedded by, its archive says.
    embedding text,
    embedding_config json,
    archive_id text NOT NULL REFERENCES archives (id),
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS folders_by_name ON folders (organization_id, name)
WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS folders_by_age ON folders (organization_id, created_at, id);
CREATE INDEX IF NOT EXISTS folders_by_archive ON folders (archive_id);
CREATE INDEX IF NOT EXISTS folders_deleted ON folders (id) WHERE deleted_at IS NOT NULL;
"""

_FILES = """
CREATE TABLE IF NOT EXISTS files (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations (id),
    folder_id text NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    -- `<name of the folder>/<its own>`, as V1 shows it.
    file_name text NOT NULL,
    original_file_name text NOT NULL,
    file_path text,
    file_type text,
    file_size bigint,
    file_creation_date text,
    file_last_modified_date text,
    processing_status text NOT NULL DEFAULT 'pending',
    error_message text,
    total_chunks integer,
    -- SHA-256 of what was uploaded.
    content_key text,
    created_by_id text,
    last_updated_by_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Ahead of now while it is being uploaded: nobody sees it, and if nobody ends it, it goes.
    deleted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS files_by_name ON files (folder_id, file_name)
WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS files_by_age ON files (folder_id, created_at, id);
CREATE INDEX IF NOT EXISTS files_deleted ON files (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS files_to_read ON files (updated_at)
WHERE processing_status IN ('pending', 'parsing') AND deleted_at IS NULL;

CREATE TABLE IF NOT EXISTS file_contents (
    file_id text PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    text text NOT NULL
);

-- What was uploaded, in pieces, until it is parsed or refused.
CREATE TABLE IF NOT EXISTS file_uploads (
    file_id text NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    ordinal integer NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (file_id, ordinal)
);
ALTER TABLE file_uploads ALTER COLUMN body SET STORAGE EXTERNAL;
"""

_PASSAGES = """
ALTER TABLE passages
    ADD COLUMN IF NOT EXISTS file_id text REFERENCES files (id) ON DELETE CASCADE,
    -- Its place in the file.
    ADD COLUMN IF NOT EXISTS ordinal integer;
CREATE INDEX IF NOT EXISTS passages_by_file ON passages (file_id, ordinal)
WHERE file_id IS NOT NULL;

-- So that it is known how far a file is without looking each of its passages up.
ALTER TABLE passages_to_embed ADD COLUMN IF NOT EXISTS file_id text;
CREATE INDEX IF NOT EXISTS passages_to_embed_by_file ON passages_to_embed (file_id)
WHERE file_id IS NOT NULL AND rank = 0;
"""

_WAIT = """
CREATE OR REPLACE FUNCTION o_passages_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO passages_to_embed (passage_id, archive_id{column})
    SELECT id, archive_id{column} FROM changed
    ON CONFLICT (passage_id) DO UPDATE SET rank = 0, problem = '';
    UPDATE archives SET embed_after = now()
    WHERE embed_after IS NULL AND id IN (SELECT archive_id FROM changed);
    RETURN NULL;
END
$$;
"""

_AGENTS = """
CREATE TABLE IF NOT EXISTS agent_folders (
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    folder_id text NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, folder_id)
);
CREATE INDEX IF NOT EXISTS agent_folders_by_folder ON agent_folders (folder_id, agent_id);

-- Of files that an agent has or had open, no others: those of its folders are its files.
CREATE TABLE IF NOT EXISTS agent_files (
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    file_id text NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    folder_id text NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    is_open boolean NOT NULL DEFAULT false,
    -- Lines, from 1; none: from the first one, and as far as the budget goes.
    view_start integer,
    view_end integer,
    last_accessed_at timestamptz,
    PRIMARY KEY (agent_id, file_id)
);
CREATE INDEX IF NOT EXISTS agent_files_open ON agent_files (agent_id) WHERE is_open;
CREATE INDEX IF NOT EXISTS agent_files_by_file ON agent_files (file_id);
CREATE INDEX IF NOT EXISTS agent_files_by_folder ON agent_files (folder_id);
"""

# So that who pages a list by a row that goes meanwhile can go on.
_PLACES = """
CREATE OR REPLACE FUNCTION o_keep_places_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_rows (id, organization_id, created_at, shown_id, kind)
    SELECT id, organization_id, created_at, id, '{table}' FROM gone
    ON CONFLICT (shown_id, id) DO UPDATE SET organization_id = excluded.organization_id,
        created_at = excluded.created_at, deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER {table}_keep_places AFTER DELETE ON {table}
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION o_keep_places_of_{table}();
"""

_DOWNGRADE = """
DROP TABLE agent_files, agent_folders;
ALTER TABLE passages_to_embed DROP COLUMN file_id;
ALTER TABLE passages DROP COLUMN file_id, DROP COLUMN ordinal;
DROP TABLE file_uploads, file_contents, files, folders;
DELETE FROM archives WHERE is_folder;
ALTER TABLE archives DROP COLUMN is_folder;
DROP FUNCTION o_keep_places_of_folders();
DROP FUNCTION o_keep_places_of_files();
"""


def upgrade() -> None:
    op.execute(_FOLDERS)
    op.execute(_FILES)
    op.execute(_PASSAGES)
    op.execute(_WAIT.format(column=", file_id"))
    op.execute(_AGENTS)
    op.execute(_PLACES.format(table="folders"))
    op.execute(_PLACES.format(table="files"))


def downgrade() -> None:
    op.execute(_WAIT.format(column=""))
    op.execute(_DOWNGRADE)
