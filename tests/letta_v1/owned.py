"""One of everything that a V1 database has beside what was said."""

import json

from tests.letta_v1.rows import EMBEDDING, V1
from tests.letta_v1.sealed import sealed

_DIMENSIONS = 1_536


def everything_owned(v1: V1, agents: int = 3) -> list[str]:
    """Fill a V1 database; the ids of its agents, which have all of it."""
    ids = [v1.add_agent(f"owner {n}") for n in range(agents)]
    _tools(v1, ids)
    _secrets(v1, ids)
    _archives(v1, ids)
    _files(v1, ids)
    _people(v1, ids)
    _runs(v1, ids)
    return ids


def _tools(v1: V1, agents: list[str]) -> None:
    schema = {"name": "", "description": "", "parameters": {"type": "object", "properties": {}}}
    source = "def {0}() -> str:\n    return 'x'\n"
    made = [
        v1.add("tools", name=name, source_code=source.format(name), json_schema=schema)
        for name in ("first", "second")
    ]
    made.append(v1.add("tools", name="send_message", tool_type="letta_core"))
    made.append(v1.add("tools", name="starred", tool_type="external_composio"))
    server = v1.add(
        "mcp_server",
        id="mcp_server-66666666-6666-4666-8666-666666666666",
        server_name="remote",
        server_type="streamable_http",
        server_url="https://mcp.example.com/mcp",
        token_enc=sealed("token"),
        custom_headers_enc=json.dumps({"X-Team": "comet"}),
    )
    remote = v1.add("tools", name="remote_one", tool_type="external_mcp", json_schema=schema)
    v1.add("mcp_tools", mcp_server_id=server, tool_id=remote)
    for agent in agents:
        for tool in (*made, remote):
            v1.add("tools_agents", agent_id=agent, tool_id=tool)


def _secrets(v1: V1, agents: list[str]) -> None:
    v1.add("providers", name="own", base_url="http://127.0.0.1:9/v1", api_key_enc=sealed("sk-1"))
    v1.add("providers", name="openai", provider_category="base", organization_id=None)
    v1.add("provider_models", handle="own/x", name="x", provider_id="p", model_type="llm")
    config = v1.add("sandbox_configs")
    v1.add("sandbox_environment_variables", sandbox_config_id=config, key="ALL", value_enc="plain")
    for agent in agents:
        for key, value in (("SEALED", sealed("deep")), ("PLAIN", "flat")):
            v1.add("agent_environment_variables", agent_id=agent, key=key, value_enc=value)
        v1.add("agent_environment_variables", agent_id=agent, key="OLD", value="old")


def _archives(v1: V1, agents: list[str]) -> None:
    for n, agent in enumerate(agents):
        archive = v1.add("archives", name=f"archive {n}")
        v1.add("archives_agents", agent_id=agent, archive_id=archive)
        for m in range(20):
            vector = [1.0 if k == m else 0.0 for k in range(_DIMENSIONS)]
            v1.add_passage(archive, f"Passage {m} of {n}.", vector, tags=["zoo", f"t{m % 3}"])
        v1.add_passage(archive, "Without a vector.", [])


def _files(v1: V1, agents: list[str]) -> None:
    folder = v1.add("sources", name="Handbook", instructions="Look here first.")
    for n in range(12):
        named = {"file_name": f"Handbook/{n}.txt", "source_id": folder}
        file = v1.add("files", original_file_name=f"{n}.txt", file_size=9, **named)
        v1.add("file_contents", file_id=file, text=f"Zebra {n}.\nWhale {n}.\n")
        for text in (f"Zebra {n}.", f"Whale {n}."):
            vector = str([0.5] * _DIMENSIONS + [0.0] * (4_096 - _DIMENSIONS))
            v1.add(
                "source_passages",
                file_id=file,
                text=text,
                embedding=vector,
                embedding_config=EMBEDDING,
                **named,
            )
        for agent in agents:
            v1.add("files_agents", file_id=file, agent_id=agent, is_open=n < 3, **named)
    for agent in agents:
        v1.add("sources_agents", agent_id=agent, source_id=folder)


def _people(v1: V1, agents: list[str]) -> None:
    block = v1.add("block", label="human", value="Ada.")
    identity = v1.add("identities", identifier_key="ada@example.org", name="Ada")
    group = v1.add("groups", manager_type="round_robin", agent_ids=agents[::-1])
    v1.add("identities_blocks", identity_id=identity, block_id=block)
    v1.add("groups_blocks", group_id=group, block_id=block)
    for agent in agents:
        v1.add("identities_agents", identity_id=identity, agent_id=agent)
        v1.add("groups_agents", group_id=group, agent_id=agent)


def _runs(v1: V1, agents: list[str]) -> None:
    for agent in agents:
        for status in ("completed", "created", "failed"):
            run = v1.add("runs", agent_id=agent, status=status)
            v1.add("run_metrics", id=run, agent_id=agent)
            step = v1.add("steps", run_id=run, agent_id=agent, stop_reason="end_turn")
            v1.add("step_metrics", id=step, agent_id=agent, run_id=run)
    v1.add("prompts", prompt="a prompt")
    v1.add("jobs", user_id="user", status="completed", job_type="job")
