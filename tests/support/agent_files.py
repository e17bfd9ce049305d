"""Agent files as V1 writes them, small, and what is done with them."""

import json
from typing import Any

import httpx

from tests.support.provider import HANDLE

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
TIME = "2025-10-10T07:14:29.{:06}+00:00"


def message(number: int, role: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A message of a file."""
    content = [] if text is None else [{"type": "text", "text": text, "signature": None}]
    return {
        "type": "message",
        "role": role,
        "content": content,
        "name": None,
        "otid": None,
        "sender_id": None,
        "batch_item_id": None,
        "group_id": None,
        "id": f"message-{number}",
        "model": "scripted",
        "agent_id": "agent-0",
        "tool_calls": None,
        "tool_call_id": None,
        "tool_returns": [],
        "created_at": TIME.format(number),
        "approve": None,
        "approval_request_id": None,
        "denial_reason": None,
        "approvals": [],
    } | more


def called(id_: str, name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call of a message."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": id_, "function": function, "type": "function"}


def returned(id_: str, said: Any, status: str = "success") -> dict[str, Any]:
    """One of a message's `tool_returns`."""
    word = "OK" if status == "success" else "Failed"
    packed = json.dumps({"status": word, "message": said, "time": "2025-10-10 07:14:29 AM UTC"})
    return {
        "tool_call_id": id_,
        "status": status,
        "stdout": ["hm"],
        "stderr": [],
        "func_response": packed,
    }


def agent(number: int = 0, **more: Any) -> dict[str, Any]:
    """An agent of a file."""
    return {
        "id": f"agent-{number}",
        "name": f"ada {number}",
        "agent_type": "letta_v1_agent",
        "system": "You are Ada.",
        "llm_config": {
            "model": HANDLE.partition("/")[2],
            "model_endpoint_type": "openai",
            "model_endpoint": "https://api.openai.com/v1",
            "handle": HANDLE,
            "context_window": 32000,
            "put_inner_thoughts_in_kwargs": False,
            "temperature": 0.7,
            "max_tokens": None,
        },
        "embedding_config": None,
        "memory_blocks": [],
        "tools": [],
        "tool_ids": [],
        "source_ids": [],
        "block_ids": [],
        "tool_rules": [],
        "tags": ["one", "two"],
        "include_base_tools": False,
        "in_context_message_ids": [f"message-{n}" for n in range(3)],
        "messages": [
            message(0, "system", "You are Ada.\n\n<memory_blocks></memory_blocks>"),
            message(1, "user", "My dog is called Bix."),
            message(2, "assistant", "A fine name."),
        ],
        "files_agents": [],
        "group_ids": [],
        "timezone": "UTC",
    } | more


def block(number: int, label: str, value: str = "x", **more: Any) -> dict[str, Any]:
    """A block of a file."""
    return {"id": f"block-{number}", "label": label, "value": value, "limit": 5000} | more


def tool(number: int, name: str, **more: Any) -> dict[str, Any]:
    """A custom tool of a file."""
    said = "    '''Count.\n\n    Args:\n        n: Up to.\n    '''\n"
    source = f"def {name}(n: int) -> int:\n{said}    return n\n"
    schema = {
        "name": name,
        "description": "Count.",
        "parameters": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "Up to."},
                "request_heartbeat": {"type": "boolean"},
            },
            "required": ["n", "request_heartbeat"],
        },
    }
    return {
        "id": f"tool-{number}",
        "name": name,
        "tool_type": "custom",
        "description": "Count.",
        "source_type": "json",
        "source_code": source,
        "json_schema": schema,
        "tags": [],
        "return_char_limit": 50000,
    } | more


def whole(*agents: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A file with these agents."""
    parts = ("groups", "blocks", "files", "sources", "tools", "mcp_servers", "skills")
    made = {"metadata": {"revision_id": "x"}, "created_at": TIME.format(0)}
    return {"agents": list(agents), **{name: [] for name in parts}, **made} | more


def everything() -> dict[str, Any]:
    """A file with every kind of content."""
    alert = '{"type": "system_alert", "message": "Note: prior messages (1) are hidden.\\n\\nDogs."}'
    thoughts = [
        {"type": "reasoning", "is_native": True, "reasoning": "Hm.", "signature": "sig"},
        {"type": "redacted_reasoning", "data": "xx"},
        {"type": "text", "text": "Both.", "signature": None},
    ]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [
        message(0, "system", "You are Ada."),
        message(1, "user", "Long ago."),
        message(2, "user", content=[{"type": "text", "text": "Look."}, image], otid="o-1"),
        message(
            3,
            "assistant",
            content=thoughts,
            tool_calls=[called("c1", "af_all", n=1), called("c2", "af_all", n=2)],
        ),
        message(
            4,
            "tool",
            name="af_all",
            tool_call_id="c1",
            tool_returns=[returned("c1", "1"), returned("c2", "no", "error")],
        ),
        message(5, "approval", tool_calls=[called("c3", "af_all", n=3)]),
        message(
            6,
            "approval",
            approvals=[
                {"type": "approval", "tool_call_id": "c3", "approve": False, "reason": "no"}
            ],
        ),
        message(7, "tool", name="af_all", tool_returns=[returned("c3", "denied", "error")]),
        message(8, "summary", alert),
        message(9, "assistant", "Done.", mood="glad"),
    ]
    context = ["message-0", "message-8", *(f"message-{n}" for n in (2, 3, 4, 5, 6, 7, 9))]
    rules = [
        {
            "tool_name": "af_all",
            "type": "max_count_per_step",
            "max_count_limit": 9,
            "prompt_template": None,
        },
        {"tool_name": "af_all", "type": "continue_loop", "prompt_template": None},
        {"tool_name": "x", "type": "sing"},
    ]
    ada = agent(
        messages=messages,
        in_context_message_ids=context,
        tool_ids=["tool-0", "tool-1", "tool-2", "tool-3"],
        tool_rules=rules,
        block_ids=["block-0", "block-1"],
        source_ids=["source-0"],
        group_ids=["group-0"],
        secrets={"TOKEN": ""},
        files_agents=[
            {
                "id": "file_agent-0",
                "agent_id": "agent-0",
                "file_id": "file-0",
                "source_id": "source-0",
                "file_name": "af-docs/zoo.txt",
                "is_open": True,
                "visible_content": "1: Lions",
                "last_accessed_at": TIME.format(1),
                "start_line": 1,
                "end_line": 2,
            }
        ],
        timezone="Europe/Berlin",
        response_format={"type": "text"},
        compaction_settings={"mode": "all", "clip_chars": 100},
        max_files_open=3,
        metadata={"k": [1, {"deep": None}]},
        o_approval_timeout_s=90_000,
    )
    sleeper = agent(
        1,
        agent_type="sleeptime_agent",
        block_ids=["block-0"],
        messages=[message(20, "system", "You sleep.", agent_id="agent-1")],
        in_context_message_ids=["message-20"],
        group_ids=["group-0"],
    )
    mcp = tool(
        2,
        "af_remote",
        tool_type="external_mcp",
        tags=["mcp:af-server"],
        source_code="def af_remote(): pass",
    )
    return whole(
        ada,
        sleeper,
        blocks=[
            block(0, "human", "Ada"),
            block(1, "notes/day", "…", read_only=True, colour="red"),
        ],
        tools=[
            tool(0, "af_all"),
            {"id": "tool-1", "name": "conversation_search", "tool_type": "letta_core"},
            mcp,
            tool(3, "af_gone", tool_type="external_langchain"),
        ],
        mcp_servers=[
            {
                "id": "mcp_server-0",
                "server_name": "af-server",
                "server_type": "streamable_http",
                "server_url": "http://127.0.0.1:9/mcp",
                "stdio_config": None,
                "metadata_": None,
            }
        ],
        groups=[
            {
                "id": "group-0",
                "agent_ids": ["agent-1"],
                "description": "naps",
                "manager_config": {
                    "manager_type": "sleeptime",
                    "manager_agent_id": "agent-0",
                    "sleeptime_agent_frequency": 5,
                },
                "shared_block_ids": ["block-0"],
            }
        ],
        sources=[{"id": "source-0", "name": "af-docs", "description": "zoo"}],
        files=[
            {
                "id": "file-0",
                "source_id": "source-0",
                "file_name": "af-docs/zoo.txt",
                "original_file_name": "zoo.txt",
                "file_type": "text/plain",
                "file_size": 12,
                "content": "Lions\nand\nbears",
            },
            {
                "id": "file-1",
                "source_id": "source-0",
                "original_file_name": "lost.pdf",
                "content": None,
            },
        ],
        skills=[{"name": "dig", "files": {"SKILL.md": "Dig."}, "source_url": None}],
        weather=["sun"],
        o_identities=[
            {
                "identifier_key": "af-user-1",
                "name": "Ada's user",
                "identity_type": "user",
                "properties": [{"key": "age", "value": 3, "type": "number"}],
                "agent_ids": ["agent-0"],
                "block_ids": ["block-0"],
            }
        ],
    )


class Files:
    """Imports and exports, as plain HTTP."""

    def __init__(self, url: str, **headers: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, headers=headers)

    def send(self, file: Any, **form: Any) -> httpx.Response:
        """Import; `file` is what the file holds: JSON, or bytes."""
        content = file if isinstance(file, bytes) else json.dumps(file).encode()
        form.setdefault("append_copy_suffix", "false")
        return self.http.post("/v1/agents/import", files={"file": ("a.af", content)}, data=form)

    def load(self, file: Any, **form: Any) -> dict[str, Any]:
        """Import what can be imported."""
        answer = self.send(file, **form)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def load_one(self, file: Any, **form: Any) -> str:
        """The same; the id of the first agent."""
        return str(self.load(file, **form)["agent_ids"][0])

    def export(self, agent_id: str, **query: Any) -> dict[str, Any]:
        """The agent's file."""
        answer = self.http.get(f"/v1/agents/{agent_id}/export", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
