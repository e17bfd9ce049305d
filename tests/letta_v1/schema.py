"""The tables of a Letta V1 database, release 0.16.8, as far as they are read here."""

# ruff: noqa: E501

import re

import psycopg

REVISION = "1c28e167b74f"

_COMMON = (
    "created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), "
    "is_deleted boolean NOT NULL DEFAULT false, _created_by_id varchar, _last_updated_by_id varchar"
)
_OWNED = f"{_COMMON}, organization_id varchar NOT NULL"
_ID = "id varchar PRIMARY KEY"
_OF_TEMPLATES = (
    "project_id varchar, base_template_id varchar, template_id varchar, deployment_id varchar"
)
_VARIABLE = f"{_ID}, key varchar NOT NULL, value varchar NOT NULL, description varchar, {_OWNED}, value_enc text"
_PASSAGE = (
    f"{_ID}, text varchar NOT NULL, embedding_config json, metadata_ json NOT NULL, "
    f"embedding vector(4096), {_OWNED}, tags json"
)

TABLES = {
    "organizations": f"{_ID}, name varchar NOT NULL, {_COMMON}, privileged_tools boolean NOT NULL",
    "users": f"{_ID}, name varchar NOT NULL, {_OWNED}",
    "agents": f"{_ID}, name varchar, description varchar, message_ids json, system varchar, "
    "agent_type varchar, llm_config json, embedding_config json, metadata_ json, tool_rules json, "
    f"{_OWNED}, {_OF_TEMPLATES}, message_buffer_autoclear boolean NOT NULL, "
    "enable_sleeptime boolean, response_format json, last_run_completion timestamptz, "
    "last_run_duration_ms integer, timezone varchar, max_files_open integer, "
    "per_file_view_window_char_limit integer, hidden boolean, entity_id varchar, "
    "_vector_db_namespace varchar, last_stop_reason varchar, compaction_settings json",
    "agents_tags": "agent_id varchar NOT NULL, tag varchar NOT NULL, PRIMARY KEY (agent_id, tag)",
    "agent_environment_variables": f"{_VARIABLE}, agent_id varchar NOT NULL, UNIQUE (key, agent_id)",
    "archives": f"{_ID}, name varchar NOT NULL, description varchar, metadata_ json, {_OWNED}, "
    "vector_db_provider vectordbprovider NOT NULL, _vector_db_namespace varchar, "
    "embedding_config json",
    "archives_agents": "agent_id varchar NOT NULL UNIQUE, archive_id varchar NOT NULL, "
    "created_at timestamptz NOT NULL DEFAULT now(), is_owner boolean NOT NULL",
    "archival_passages": f"{_PASSAGE}, archive_id varchar NOT NULL",
    "passage_tags": f"{_ID}, tag varchar NOT NULL, passage_id varchar NOT NULL, "
    f"archive_id varchar NOT NULL, {_OWNED}, UNIQUE (passage_id, tag)",
    "block": f'{_ID}, value varchar NOT NULL, "limit" integer NOT NULL, template_name varchar, '
    f"label varchar NOT NULL, metadata_ json, description varchar, is_template boolean NOT NULL, "
    f"{_OWNED}, current_history_entry_id varchar, version integer NOT NULL DEFAULT 1, "
    f"read_only boolean NOT NULL, preserve_on_migration boolean, {_OF_TEMPLATES}, "
    "entity_id varchar, hidden boolean",
    "block_history": f"{_ID}, description text, label varchar NOT NULL, value text NOT NULL, "
    '"limit" bigint NOT NULL, metadata_ json, actor_type varchar, actor_id varchar, '
    f"block_id varchar NOT NULL, sequence_number integer NOT NULL, {_OWNED}",
    "blocks_agents": "agent_id varchar NOT NULL, block_id varchar NOT NULL, "
    "block_label varchar NOT NULL, UNIQUE (agent_id, block_id), UNIQUE (agent_id, block_label)",
    "blocks_conversations": "conversation_id varchar NOT NULL, block_id varchar NOT NULL, "
    "block_label varchar NOT NULL",
    "blocks_tags": f"block_id varchar NOT NULL, tag varchar NOT NULL, {_OWNED}",
    "conversations": f"{_ID}, agent_id varchar NOT NULL, summary varchar, {_OWNED}, model varchar, "
    "model_settings json, last_message_at timestamptz",
    "conversation_messages": f"{_ID}, conversation_id varchar, agent_id varchar NOT NULL, "
    f"message_id varchar NOT NULL, position integer NOT NULL, in_context boolean NOT NULL, {_OWNED}",
    "sources": f"{_ID}, name varchar NOT NULL, embedding_config json NOT NULL, description varchar, "
    f"metadata_ json, {_OWNED}, instructions varchar, vector_db_provider vectordbprovider NOT NULL, "
    "UNIQUE (name, organization_id)",
    "sources_agents": "agent_id varchar NOT NULL, source_id varchar NOT NULL",
    "files": f"{_ID}, source_id varchar NOT NULL, file_name varchar, file_path varchar, "
    "file_type varchar, file_size integer, file_creation_date varchar, "
    f"file_last_modified_date varchar, {_OWNED}, processing_status varchar NOT NULL, "
    "error_message text, original_file_name varchar, total_chunks integer, chunks_embedded integer",
    "file_contents": f"{_ID}, file_id varchar NOT NULL UNIQUE, text text NOT NULL, {_COMMON}",
    "files_agents": f"{_ID}, file_id varchar NOT NULL, agent_id varchar NOT NULL, "
    "is_open boolean NOT NULL, visible_content text, last_accessed_at timestamptz DEFAULT now(), "
    f"{_OWNED}, file_name varchar NOT NULL, source_id varchar NOT NULL, start_line integer, "
    "end_line integer",
    "source_passages": f"{_PASSAGE}, file_id varchar, source_id varchar NOT NULL, "
    "file_name varchar NOT NULL",
    "groups": f"{_ID}, description varchar NOT NULL, manager_type varchar NOT NULL, "
    f"manager_agent_id varchar, termination_token varchar, max_turns integer, {_OWNED}, "
    "agent_ids json NOT NULL, sleeptime_agent_frequency integer, turns_counter integer, "
    "last_processed_message_id varchar, max_message_buffer_length integer, "
    f"min_message_buffer_length integer, {_OF_TEMPLATES}, hidden boolean",
    "groups_agents": "group_id varchar NOT NULL, agent_id varchar NOT NULL",
    "groups_blocks": "group_id varchar NOT NULL, block_id varchar NOT NULL",
    "identities": f"{_ID}, identifier_key varchar NOT NULL, name varchar NOT NULL, "
    f"identity_type varchar NOT NULL, project_id varchar, {_OWNED}, "
    "properties json NOT NULL DEFAULT '[]'",
    "identities_agents": "identity_id varchar NOT NULL, agent_id varchar NOT NULL",
    "identities_blocks": "identity_id varchar NOT NULL, block_id varchar NOT NULL",
    "jobs": f"{_ID}, user_id varchar NOT NULL, status varchar NOT NULL, {_COMMON}, "
    "job_type varchar NOT NULL, organization_id varchar",
    "mcp_oauth": f"{_ID}, state varchar NOT NULL UNIQUE, server_url text NOT NULL, {_OWNED}, "
    "access_token_enc text",
    "mcp_server": f"{_ID}, server_name varchar NOT NULL, server_type varchar NOT NULL, "
    f"server_url varchar, stdio_config json, {_OWNED}, metadata_ json, token varchar, "
    "custom_headers json, token_enc text, custom_headers_enc text, "
    "UNIQUE (server_name, organization_id)",
    "mcp_tools": f"{_ID}, mcp_server_id varchar NOT NULL, tool_id varchar NOT NULL, {_OWNED}",
    "messages": f"{_ID}, agent_id varchar NOT NULL, role varchar NOT NULL, text varchar, "
    f"model varchar, name varchar, tool_calls json NOT NULL, tool_call_id varchar, {_OWNED}, "
    "step_id varchar, otid varchar, tool_returns json, group_id varchar, content json, "
    "sequence_id bigint NOT NULL UNIQUE DEFAULT nextval('message_seq_id'), sender_id varchar, "
    "batch_item_id varchar, is_err boolean, approval_request_id varchar, approve boolean, "
    "denial_reason varchar, run_id varchar, approvals json, conversation_id varchar",
    "prompts": f"{_ID}, prompt varchar NOT NULL, {_COMMON}, project_id varchar",
    "providers": f"{_ID}, name varchar NOT NULL, api_key varchar, {_COMMON}, "
    "organization_id varchar, provider_type varchar, base_url varchar, provider_category varchar, "
    "access_key varchar, region varchar, api_version varchar, api_key_enc text, "
    "access_key_enc text, last_synced timestamptz, UNIQUE (name, organization_id)",
    "provider_models": f"{_ID}, handle varchar NOT NULL, name varchar NOT NULL, "
    f"provider_id varchar NOT NULL, organization_id varchar, model_type varchar NOT NULL, {_COMMON}",
    "provider_traces": f"{_ID}, request_json json NOT NULL, response_json json NOT NULL, "
    f"step_id varchar, {_OWNED}",
    "runs": f"{_ID}, status varchar NOT NULL, completed_at timestamp, stop_reason varchar, "
    "background boolean, metadata_ json, request_config json, agent_id varchar NOT NULL, "
    "callback_url varchar, callback_sent_at timestamp, callback_status_code integer, "
    f"callback_error varchar, ttft_ns bigint, total_duration_ns bigint, {_OWNED}, {_OF_TEMPLATES}, "
    "conversation_id varchar",
    "run_metrics": f"{_ID}, run_start_ns bigint, run_ns bigint, num_steps integer, {_OWNED}, "
    "agent_id varchar NOT NULL, tools_used json",
    "steps": f"{_ID}, completion_tokens integer NOT NULL DEFAULT 0, "
    "prompt_tokens integer NOT NULL DEFAULT 0, total_tokens integer NOT NULL DEFAULT 0, "
    f"{_COMMON}, origin varchar, organization_id varchar, provider_id varchar, "
    "provider_name varchar, model varchar, context_window_limit integer, "
    "completion_tokens_details json, tags json, tid varchar, model_endpoint varchar, "
    "trace_id varchar, agent_id varchar, provider_category varchar, feedback varchar, "
    "project_id varchar, stop_reason varchar, error_type varchar, error_data json, "
    "status stepstatus, run_id varchar, prompt_tokens_details json, request_id varchar, "
    "model_handle varchar, cached_input_tokens integer, cache_write_tokens integer, "
    "reasoning_tokens integer",
    "step_metrics": f"{_ID}, {_COMMON}, organization_id varchar, llm_request_ns bigint, "
    "tool_execution_ns bigint, step_ns bigint, agent_id varchar NOT NULL, step_start_ns bigint, "
    "llm_request_start_ns bigint, run_id varchar",
    "sandbox_configs": f"{_ID}, type sandboxtype NOT NULL, config json NOT NULL, {_OWNED}, "
    "UNIQUE (type, organization_id)",
    "sandbox_environment_variables": f"{_VARIABLE}, sandbox_config_id varchar NOT NULL, "
    "UNIQUE (key, sandbox_config_id)",
    "tools": f"{_ID}, name varchar NOT NULL, description varchar, source_type varchar NOT NULL, "
    f"source_code varchar, json_schema json, tags json NOT NULL, {_OWNED}, "
    "return_char_limit integer, tool_type varchar NOT NULL, args_json_schema json, metadata_ json, "
    "pip_requirements json, npm_requirements json, default_requires_approval boolean, "
    "enable_parallel_execution boolean, project_id varchar, UNIQUE (name, organization_id)",
    "tools_agents": "agent_id varchar NOT NULL, tool_id varchar NOT NULL",
    "alembic_version": "version_num varchar(32) PRIMARY KEY",
}

_FIRST = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE sandboxtype AS ENUM ('E2B', 'MODAL', 'LOCAL');
CREATE TYPE stepstatus AS ENUM ('PENDING', 'SUCCESS', 'FAILED', 'CANCELLED');
CREATE TYPE vectordbprovider AS ENUM ('NATIVE', 'TPUF', 'PINECONE');
CREATE SEQUENCE message_seq_id;
"""


def create(connection: psycopg.Connection[object]) -> None:
    """Make the tables in an empty database."""
    connection.execute(_FIRST)
    for name, columns in TABLES.items():
        connection.execute(f'CREATE TABLE "{name}" ({columns})'.encode())
    connection.execute("INSERT INTO alembic_version VALUES (%s)", (REVISION,))


def json_columns(table: str) -> set[str]:
    """The columns of a table that hold JSON."""
    return set(re.findall(r"(\w+) json\b", TABLES[table]))
