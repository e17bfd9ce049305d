"""Words of passages and messages, by which they are found in any language."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Every word, also the most frequent ones: which are worth searching for is found out by a search.
_WORDS = """
CREATE TEXT SEARCH DICTIONARY o_english (TEMPLATE = snowball, LANGUAGE = english);
CREATE TEXT SEARCH DICTIONARY o_russian (TEMPLATE = snowball, LANGUAGE = russian);
CREATE TEXT SEARCH CONFIGURATION o_words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION o_words
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart WITH o_english;
ALTER TEXT SEARCH CONFIGURATION o_words ALTER MAPPING FOR word, hword, hword_part WITH o_russian;
"""

# Scripts that are written without blanks, and pictures; Korean, whose particles hang on its words.
_RUNS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"
    r"\uac00-\ud7af\uf900-\ufaff\U0001f000-\U0003ffff"
)
# What is between words. PostgreSQL's parser takes it for letters, or does not, as its locale says.
_BETWEEN = (
    r"\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u055a-\u055f\u0589\u05be"
    r"\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u2000-\u200a\u2010-\u205f\u20a0-\u2bff"
    r"\u3000-\u3004\u3008-\u3030\ufe10-\ufe6f\ufff0-\uffff"
)
# Vowel signs of Arabic and Hebrew, and characters that have no width.
_MARKS = r"\u00ad\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u0655\u0670\u200b-\u200f\u2060\ufe0f\ufeff"

# 65,536 characters at most, so that whatever they are, they are less than a tsvector may hold
# (1 MB); words of more than 2 kB PostgreSQL leaves out by itself. A database whose encoding is not
# UTF-8 counts characters as bytes, and so takes the way of plain ASCII.
_TERMS = rf"""
CREATE OR REPLACE FUNCTION o_folded(said text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    folded text := left(normalize(lower(said), NFKD), 65536);
BEGIN
    folded := regexp_replace(lower(folded), '([a-zα-ω])[\u0300-\u036f]+', '\1', 'g');
    folded := regexp_replace(folded, '[{_MARKS}]+', '', 'g');
    RETURN replace(normalize(folded, NFC), 'ё', 'е');
END
$$;

CREATE OR REPLACE FUNCTION o_search_terms(said text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    words text := left(said, 65536);
    runs text;
    grams tsvector := '';
BEGIN
    IF words ~ '[a-z][A-Z]' THEN -- parts of names in programs, beside the names
        words := words || ' ' || coalesce((
            SELECT string_agg(regexp_replace(name[1], '([a-z0-9])([A-Z])', '\1 \2', 'g'), ' ')
            FROM regexp_matches(words, '([A-Za-z0-9]*[a-z][A-Z][A-Za-z0-9]*)', 'g') AS name), '');
    END IF;
    IF octet_length(words) > char_length(words) THEN
        words := o_folded(words);
        IF words ~ '[{_RUNS}]' THEN -- each character and each pair of neighbours is a word
            runs := regexp_replace(words, '[^{_RUNS}]+', ' ', 'g');
            words := regexp_replace(words, '[{_RUNS}]+', ' ', 'g');
            grams := array_to_tsvector(array_remove(string_to_array(
                regexp_replace(runs, '(\S)', '\1 ', 'g') || ' '
                || regexp_replace(runs, '(\S\S)', '\1 ', 'g') || ' '
                || regexp_replace(regexp_replace(runs, '(^| )\S', ' ', 'g'), '(\S\S)', '\1 ', 'g'),
                ' '), ''));
        END IF;
        words := regexp_replace(words, '[{_BETWEEN}]+', ' ', 'g');
    END IF;
    IF words ~ '\S[/@._:+&<>%=?#~-]\S|[<&-]\S' THEN -- no paths, no tags, no signs
        words := translate(words, '/@.-_:+&<>%=?#~', '               ');
    END IF;
    RETURN to_tsvector('o_words', words) || grams;
END
$$;

-- A term that no text holds: whose it is. By it an index tells tenants and archives apart.
CREATE OR REPLACE FUNCTION o_scope(id text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT '@' || right(id, 36) $$;
"""  # noqa: S608

_PASSAGES = """
ALTER TABLE passages ADD COLUMN IF NOT EXISTS terms tsvector;
CREATE OR REPLACE FUNCTION o_passage_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.terms := o_search_terms(NEW.text)
        || array_to_tsvector(ARRAY[o_scope(NEW.archive_id), o_scope(NEW.organization_id)]);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER passages_terms BEFORE INSERT OR UPDATE OF text ON passages
FOR EACH ROW EXECUTE FUNCTION o_passage_terms();
UPDATE passages SET text = text WHERE terms IS NULL;
CREATE INDEX IF NOT EXISTS passages_terms ON passages USING gin (terms)
    WITH (gin_pending_list_limit = 256);
"""

# A table of its own: whoever reads messages reads whole rows, and has no use for their words.
_MESSAGES = """
CREATE TABLE IF NOT EXISTS message_terms (
    message_id text PRIMARY KEY,
    agent_id text NOT NULL,
    conversation_id text NOT NULL,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    terms tsvector NOT NULL
);
CREATE INDEX IF NOT EXISTS message_terms_words ON message_terms USING gin (terms)
    WITH (gin_pending_list_limit = 256);

-- Of what a message says; of an agent of the legacy loop, what it says by calling send_message.
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

-- A copy, which a fork makes, takes the words of its original.
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
CREATE OR REPLACE TRIGGER messages_terms AFTER INSERT ON messages FOR EACH ROW
WHEN (NEW.role IN ('user', 'assistant')) EXECUTE FUNCTION o_keep_message_terms();
CREATE OR REPLACE TRIGGER messages_new_terms AFTER UPDATE OF parts, tool_calls ON messages
FOR EACH ROW WHEN (NEW.role IN ('user', 'assistant')
    AND (NEW.parts, NEW.tool_calls) IS DISTINCT FROM (OLD.parts, OLD.tool_calls))
EXECUTE FUNCTION o_keep_message_terms();

CREATE OR REPLACE FUNCTION o_drop_message_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_terms WHERE message_id IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER messages_drop_terms AFTER DELETE ON messages
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION o_drop_message_terms();

-- Messages of earlier releases get their words by and by: those behind this id have none yet.
CREATE TABLE IF NOT EXISTS message_terms_backlog (after_id text NOT NULL);
INSERT INTO message_terms_backlog SELECT '' WHERE EXISTS (SELECT FROM messages);
"""

_DOWNGRADE = """
DROP TRIGGER messages_drop_terms ON messages;
DROP TRIGGER messages_new_terms ON messages;
DROP TRIGGER messages_terms ON messages;
DROP FUNCTION o_drop_message_terms();
DROP FUNCTION o_keep_message_terms();
DROP FUNCTION o_message_terms(messages);
DROP TABLE message_terms, message_terms_backlog;
DROP INDEX passages_terms;
DROP TRIGGER passages_terms ON passages;
DROP FUNCTION o_passage_terms();
ALTER TABLE passages DROP COLUMN terms;
DROP FUNCTION o_scope(text);
DROP FUNCTION o_search_terms(text);
DROP FUNCTION o_folded(text);
DROP TEXT SEARCH CONFIGURATION o_words;
DROP TEXT SEARCH DICTIONARY o_english;
DROP TEXT SEARCH DICTIONARY o_russian;
"""


def upgrade() -> None:
    op.execute(_WORDS)
    op.execute(_TERMS)
    op.execute(_PASSAGES)
    op.execute(_MESSAGES)


def downgrade() -> None:
    op.execute(_DOWNGRADE)
