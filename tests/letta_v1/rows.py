"""Rows of a V1 database, with what V1 writes where a test does not say otherwise."""

import json
import uuid
from typing import Any

import psycopg

from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID
from tests.letta_v1.schema import TABLES, json_columns
from tests.support.provider import HANDLE

ORGANIZATION = DEFAULT_ORGANIZATION_ID

_PREFIXES = {
    "agents": "agent",
    "agent_environment_variables": "agent-env",
    "archives": "archive",
    "archival_passages": "passage",
    "block_history": "block_hist",
    "conversation_messages": "conv_msg",
    "conversations": "conv",
    "files": "file",
    "file_contents": "file_content",
    "files_agents": "file_agent",
    "groups": "group",
    "identities": "identity",
    "jobs": "job",
    "mcp_tools": "mcp-tool-mapping",
    "messages": "message",
    "organizations": "org",
    "providers": "provider",
    "runs": "run",
    "sandbox_configs": "sandbox",
    "sandbox_environment_variables": "sandbox-env",
    "sources": "source",
    "source_passages": "passage",
    "steps": "step",
    "tools": "tool",
    "users": "user",
}

EMBEDDING = {
    "embedding_endpoint_type": "openai",
    "embedding_endpoint": "http://127.0.0.1:9/v1",
    "embedding_model": "text-embedding-3-small",
    "embedding_dim": 1_536,
    "embedding_chunk_size": 300,
    "handle": "openai/text-embedding-3-small",
}


def llm_config(handle: str = HANDLE) -> dict[str, Any]:
    """V1's `llm_config` of an agent; its endpoint leads nowhere."""
    provider, _, model = handle.partition("/")
    return {
        "model": model,
        "model_endpoint_type": provider,
        "model_endpoint": "http://127.0.0.1:9/v1",
        "provider_name": provider,
        "provider_category": "base",
        "context_window": 128_000,
        "handle": handle,
        "temperature": 1.0,
        "max_tokens": None,
        "enable_reasoner": False,
        "parallel_tool_calls": False,
        "put_inner_thoughts_in_kwargs": False,
    }


_DEFAULTS: dict[str, dict[str, Any]] = {
    "agents": {
        "agent_type": "letta_v1_agent",
        "system": "You are kind.",
        "llm_config": llm_config(),
        "embedding_config": EMBEDDING,
        "metadata_": {},
        "tool_rules": [],
        "message_ids": [],
        "message_buffer_autoclear": False,
        "timezone": "UTC",
    },
    "archives": {"vector_db_provider": "NATIVE", "embedding_config": EMBEDDING},
    "archives_agents": {"is_owner": True},
    "archival_passages": {"metadata_": {}},
    "agent_environment_variables": {"value": ""},
    "block": {"limit": 20_000, "is_template": False, "read_only": False, "metadata_": {}},
    "files": {"processing_status": "completed", "file_type": "text/plain"},
    "files_agents": {"is_open": False},
    "groups": {"description": "", "agent_ids": []},
    "identities": {"identity_type": "user"},
    "messages": {"tool_calls": []},
    "organizations": {"privileged_tools": False},
    "providers": {"provider_category": "byok", "provider_type": "openai"},
    "runs": {
        "status": "completed",
        "stop_reason": "end_turn",
        "background": False,
        "metadata_": {"run_type": "send_message"},
        "request_config": {"use_assistant_message": True},
    },
    "sandbox_configs": {"type": "LOCAL", "config": {}},
    "sandbox_environment_variables": {"value": ""},
    "sources": {"embedding_config": EMBEDDING, "vector_db_provider": "NATIVE"},
    "source_passages": {"metadata_": {}},
    "steps": {"status": "SUCCESS", "model": "test", "provider_name": "openai"},
    "tools": {
        "source_type": "json",
        "tool_type": "custom",
        "tags": [],
        "metadata_": {},
        "args_json_schema": {},
        "return_char_limit": 50_000,
    },
}


class V1:
    """A V1 database that is being filled.

    Attributes:
        url: For psycopg.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        if not self.query("SELECT FROM organizations LIMIT 1"):
            self.add("organizations", id=ORGANIZATION, name="default_org")
            self.add("users", id=DEFAULT_USER_ID, name="default_user")

    def close(self) -> None:
        """Leave it."""
        self._connection.close()

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        cursor = self._connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def add(self, table: str, **columns: Any) -> str:
        """Add a row; returns its id, empty where the table has none."""
        row = _DEFAULTS.get(table, {}) | columns
        if TABLES[table].startswith("id varchar") and "id" not in row:
            row["id"] = f"{_PREFIXES.get(table, table)}-{uuid.uuid4()}"
        if "organization_id varchar" in TABLES[table] and "organization_id" not in row:
            row["organization_id"] = ORGANIZATION
        jsons = json_columns(table)
        values = [json.dumps(v) if k in jsons and v is not None else v for k, v in row.items()]
        names = ", ".join(f'"{name}"' for name in row)
        places = ", ".join(["%s"] * len(row))
        self.query(f'INSERT INTO "{table}" ({names}) VALUES ({places})', *values)
        return str(row.get("id", ""))

    def add_agent(self, name: str, **columns: Any) -> str:
        """Add an agent that has been told nothing yet: it has its system message alone."""
        agent_id = f"agent-{uuid.uuid4()}"
        system = self.add(
            "messages",
            agent_id=agent_id,
            role="system",
            content=[{"type": "text", "text": "You are kind."}],
        )
        return self.add("agents", id=agent_id, name=name, message_ids=[system], **columns)

    def add_passage(self, archive_id: str, text: str, vector: list[float], **columns: Any) -> str:
        """Add a passage with a vector, which V1 fills up with zeros, and its tags twice."""
        padded = [*vector, *[0.0] * (4_096 - len(vector))]
        tags = columns.get("tags") or []
        passage_id = self.add(
            "archival_passages",
            **{
                "archive_id": archive_id,
                "text": text,
                "embedding": str(padded) if vector else None,
                "embedding_config": EMBEDDING | {"embedding_dim": len(vector)} if vector else None,
            }
            | columns,
        )
        for tag in tags:
            self.add("passage_tags", tag=tag, passage_id=passage_id, archive_id=archive_id)
        return passage_id
