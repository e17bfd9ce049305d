"""Vectors of messages, and those that wait for theirs.

Tables of their own: whoever reads messages has no use for vectors, and where no model is there
nothing is in them. Messages of earlier releases wait by and by, as the sweeper puts them there.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLES = """
-- One row: by which model messages are embedded (none: by none), and how far the look at those
-- goes that were there before; none where all were looked at.
CREATE TABLE IF NOT EXISTS message_embedding (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    handle text,
    after_id text
);
INSERT INTO message_embedding (handle) VALUES (NULL) ON CONFLICT DO NOTHING;

-- Where an organization's messages have their vectors.
CREATE TABLE IF NOT EXISTS message_spaces (
    organization_id text PRIMARY KEY REFERENCES organizations (id) ON DELETE CASCADE,
    space_id bigint REFERENCES vector_spaces (id) ON DELETE SET NULL,
    -- How many vectors there are, about: what was deleted since is counted too.
    vector_count bigint NOT NULL DEFAULT 0,
    -- Of the index over them; none where there are few.
    index_name text,
    -- Until when they are left alone: a worker is at them, or the model failed.
    embed_after timestamptz,
    problem text NOT NULL DEFAULT ''
);

-- What conditions of searches are about stands beside the vector, so that nothing is joined.
CREATE TABLE IF NOT EXISTS message_vectors (
    message_id text NOT NULL,
    space_id bigint NOT NULL REFERENCES vector_spaces (id) ON DELETE CASCADE,
    organization_id text NOT NULL,
    agent_id text NOT NULL,
    conversation_id text NOT NULL,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (message_id, space_id)
);
CREATE INDEX IF NOT EXISTS message_vectors_by_agent ON message_vectors (space_id, agent_id);

CREATE TABLE IF NOT EXISTS messages_to_embed (
    message_id text PRIMARY KEY,
    organization_id text NOT NULL,
    created_at timestamptz NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS messages_to_embed_by_age
ON messages_to_embed (organization_id, created_at);
"""

# What a message says stands in a function of its own now: its words are found there, and what is
# embedded. The same goes for its terms as before.
_SAID = """
CREATE OR REPLACE FUNCTION o_message_said(message messages) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    said text := (SELECT string_agg(part #>> '{}', ' ')
        FROM jsonb_path_query(message.parts, '$[*].text') AS part);
BEGIN
    IF message.tool_calls <> '[]' THEN
        said := concat_ws(' ', said, (
            SELECT string_agg(CASE
                -- PostgreSQL runs out of stack over JSON that is nested thousands of levels deep.
                WHEN length(raw) - length(translate(raw, '[{', '')) > 1000 THEN raw
                WHEN pg_input_is_valid(raw, 'jsonb') THEN raw::jsonb ->> 'message'
                ELSE raw END, ' ')
            FROM jsonb_path_query(message.tool_calls,
                '$[*] ? (@.name == "send_message").arguments') AS sent,
                LATERAL (SELECT sent #>> '{}' AS raw) AS unquoted));
    END IF;
    RETURN coalesce(said, '');
END
$$;
CREATE OR REPLACE FUNCTION o_message_terms(message messages) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN strip(o_search_terms(o_message_said(message))) || array_to_tsvector(
        ARRAY[o_scope(message.agent_id), o_scope(message.organization_id)]);
END
$$;
"""

_TRIGGERS = """
CREATE OR REPLACE FUNCTION o_keep_message_terms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    words tsvector;
BEGIN
    IF NEW.copy_of IS NOT NULL THEN
        words := (SELECT terms FROM message_terms WHERE message_id = NEW.copy_of);
    END IF;
    IF words IS NULL THEN
        words := o_message_terms(NEW);
    END IF;
    INSERT INTO message_terms (message_id, agent_id, conversation_id, role, created_at, terms)
    VALUES (NEW.id, NEW.agent_id, NEW.conversation_id, NEW.role, NEW.created_at, words)
    ON CONFLICT (message_id) DO UPDATE SET terms = excluded.terms;
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM message_vectors WHERE message_id = NEW.id;
    END IF;
    INSERT INTO messages_to_embed (message_id, organization_id, created_at)
    SELECT NEW.id, NEW.organization_id, NEW.created_at FROM message_embedding
    WHERE handle IS NOT NULL
    ON CONFLICT (message_id) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION o_drop_message_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_terms WHERE message_id IN (SELECT id FROM gone);
    DELETE FROM messages_to_embed WHERE message_id IN (SELECT id FROM gone);
    DELETE FROM message_vectors WHERE message_id IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
"""

_DOWNGRADE = """
CREATE OR REPLACE FUNCTION o_message_terms(message messages) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    said text := (SELECT string_agg(part #>> '{}', ' ')
        FROM jsonb_path_query(message.parts, '$[*].text') AS part);
BEGIN
    IF message.tool_calls <> '[]' THEN
        said := concat_ws(' ', said, (
            SELECT string_agg(CASE WHEN pg_input_is_valid(sent #>> '{}', 'jsonb')
                THEN (sent #>> '{}')::jsonb ->> 'message' ELSE sent #>> '{}' END, ' ')
            FROM jsonb_path_query(message.tool_calls,
                '$[*] ? (@.name == "send_message").arguments') AS sent));
    END IF;
    RETURN strip(o_search_terms(coalesce(said, ''))) || array_to_tsvector(
        ARRAY[o_scope(message.agent_id), o_scope(message.organization_id)]);
END
$$;
DROP FUNCTION o_message_said(messages);
CREATE OR REPLACE FUNCTION o_keep_message_terms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    words tsvector;
BEGIN
    IF NEW.copy_of IS NOT NULL THEN
        words := (SELECT terms FROM message_terms WHERE message_id = NEW.copy_of);
    END IF;
    IF words IS NULL THEN
        words := o_message_terms(NEW);
    END IF;
    INSERT INTO message_terms (message_id, agent_id, conversation_id, role, created_at, terms)
    VALUES (NEW.id, NEW.agent_id, NEW.conversation_id, NEW.role, NEW.created_at, words)
    ON CONFLICT (message_id) DO UPDATE SET terms = excluded.terms;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION o_drop_message_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_terms WHERE message_id IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
DROP TABLE messages_to_embed, message_vectors, message_spaces, message_embedding;
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(_SAID)
    op.execute(_TRIGGERS)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
