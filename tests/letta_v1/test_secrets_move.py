"""Secrets of V1: what can be read is here and encrypted, what cannot is told of by name."""

import hashlib
import json
from typing import Any

from letta_client import Letta

from tests.letta_v1.moving import Import, line, news, told
from tests.letta_v1.rows import V1
from tests.letta_v1.sealed import sealed
from tests.support.product import Product

INCLUDE: Any = ["agent.secrets"]
TOKEN = hashlib.sha256(b"a token").hexdigest()


def secrets_of(client: Letta, agent_id: str) -> dict[str | None, str | None]:
    agent = client.agents.retrieve(agent_id, include=INCLUDE)
    return {one.key: one.value for one in agent.secrets or ()}


def test_variables_of_agents_are_read_however_v1_wrote_them(
    v1: V1, moved: Import, client: Letta
) -> None:
    agent = v1.add_agent("vault")
    written = {
        "SEALED": {"value_enc": sealed("p\u00e4ss-\U0001f511")},
        "SEALED_EMPTY": {"value_enc": sealed("")},
        "WITHOUT_KEY": {"value_enc": "plain-token-1"},
        "LOOKS_SEALED": {"value_enc": TOKEN},
        "OLD": {"value": "old-plain-value"},
        "EMPTY": {},
    }
    for key, columns in written.items():
        v1.add("agent_environment_variables", agent_id=agent, key=key, **columns)
    result = moved()
    assert news(result, "agent_environment_variables") == len(written)
    assert secrets_of(client, agent) == {
        "SEALED": "p\u00e4ss-\U0001f511",
        "SEALED_EMPTY": "",
        "WITHOUT_KEY": "plain-token-1",
        "LOOKS_SEALED": TOKEN,
        "OLD": "old-plain-value",
        "EMPTY": "",
    }


def test_without_the_key_a_secret_is_told_of_and_comes_with_a_later_run_that_has_it(
    v1: V1, moved: Import, client: Letta
) -> None:
    agent = v1.add_agent("vault")
    v1.add("agent_environment_variables", agent_id=agent, key="A", value_enc=sealed("one"))
    v1.add("agent_environment_variables", agent_id=agent, key="B", value_enc="two")
    for key in (None, "a wrong key"):
        result = moved(key=key)
        assert result["status"] == 0
        assert "encrypted" in told(result, f"A of {agent}")
        assert secrets_of(client, agent) == {"B": "two"}
    assert not told(moved(), f"A of {agent}")
    assert secrets_of(client, agent) == {"A": "one", "B": "two"}
    result = moved(key=None)
    assert not told(result, f"A of {agent}"), "it is here"
    assert secrets_of(client, agent) == {"A": "one", "B": "two"}


def test_keys_of_providers_are_kept_by_a_run_that_cannot_read_them(
    v1: V1, moved: Import, server: Product
) -> None:
    provider = v1.add(
        "providers",
        name="own-keys",
        provider_type="anthropic",
        base_url="https://api.anthropic.com/v1",
        api_key_enc=sealed("sk-ant-1"),
    )
    stored = "SELECT api_key IS NOT NULL, base_url FROM providers WHERE id = %s"
    assert "give it again" in told(moved(key=None), provider)
    assert server.query(stored, provider) == [(False, None)], "its usual address needs no word"
    assert not told(moved(), provider)
    assert server.query(stored, provider) == [(True, None)]
    v1.query("UPDATE providers SET region = 'eu', updated_at = now() WHERE id = %s", provider)
    assert line(moved(key=None), "providers")["fates"] == {"updated": 1}
    assert server.query(stored, provider) == [(True, None)]


def test_providers_of_v1s_environment_and_of_other_types_are_left_out_and_told(
    v1: V1, moved: Import, server: Product
) -> None:
    owned = {"api_key_enc": "sk-x", "provider_type": "openai"}
    v1.add("providers", name="openai", provider_category="base", organization_id=None)
    left = [
        v1.add("providers", name="of-letta", **owned | {"provider_type": "letta"}),
        v1.add("providers", name="a/b", **owned),
        v1.add("providers", name="nowhere", base_url="ftp://x", **owned),
    ]
    v1.add("providers", name="gone", is_deleted=True, provider_type="openai")
    private = v1.add("providers", name="own-vllm", base_url="http://127.0.0.1:9/v1", **owned)
    result = moved()
    assert news(result, "providers") == 1
    assert sum(line(result, "providers")["left"].values()) == 5
    for one in left:
        assert "left out" in told(result, one)
    assert "http://127.0.0.1:9/v1" in told(result, private), "where its key goes"
    assert server.query("SELECT count(*) FROM providers WHERE id = ANY(%s)", left) == [(0,)]
    server.query("DELETE FROM providers WHERE id = %s", private)


def test_mcp_servers_come_with_tokens_headers_and_variables(
    v1: V1, moved: Import, client: Letta, server: Product
) -> None:
    http = v1.add(
        "mcp_server",
        id="mcp_server-11111111-1111-4111-8111-111111111111",
        server_name="http",
        server_type="streamable_http",
        server_url="https://mcp.example.com/mcp",
        token_enc=sealed("a-token"),
        custom_headers_enc=sealed(json.dumps({"X-Team": "ümlaut"})),
        stdio_config=None,
    )
    stdio = v1.add(
        "mcp_server",
        id="mcp_server-22222222-2222-4222-8222-222222222222",
        server_name="stdio",
        server_type="stdio",
        stdio_config={"command": "python3", "args": ["x.py"], "env": {"MODE": "plain"}},
    )
    old = v1.add(
        "mcp_server",
        id="mcp_server-33333333-3333-4333-8333-333333333333",
        server_name="old",
        server_type="sse",
        server_url="https://sse.example.com/sse",
        token="old-token",
        custom_headers={"X-Old": "1"},
    )
    result = moved()
    assert news(result, "mcp_server") == 3
    shown = {one.id: one for one in client.mcp_servers.list()}
    assert (shown[http].server_name, shown[http].server_url) == (
        "http",
        "https://mcp.example.com/mcp",
    )
    assert (shown[stdio].command, shown[stdio].args) == ("python3", ["x.py"])
    assert shown[old].server_url == "https://sse.example.com/sse"
    shown_http: dict[str, Any] = shown[http].to_dict()
    assert list(shown_http["custom_headers"]) == ["X-Team"]
    for one in (http, stdio, old):
        server.query("DELETE FROM mcp_servers WHERE id = %s", one)


def test_nothing_secret_is_printed_or_stored_in_the_open(
    v1: V1, moved: Import, server: Product
) -> None:
    agent = v1.add_agent("vault")
    words = ["clear-word-1", "sealed-word-2", "provider-word-3", "server-word-4", "header-word-5"]
    v1.add("agent_environment_variables", agent_id=agent, key="A", value_enc=words[0])
    v1.add("agent_environment_variables", agent_id=agent, key="B", value_enc=sealed(words[1]))
    v1.add("providers", name="own-words", base_url="http://127.0.0.1:9/v1", api_key_enc=words[2])
    v1.add(
        "mcp_server",
        id="mcp_server-44444444-4444-4444-8444-444444444444",
        server_name="words",
        server_type="sse",
        server_url="https://sse.example.com/sse",
        token_enc=words[3],
        custom_headers_enc=json.dumps({"X": words[4]}),
    )
    printed = json.dumps(moved())
    stored = str(
        [
            server.query(f"SELECT t::text FROM {table} AS t")
            for table in ("moved_rows", "tool_variables", "providers", "mcp_servers", "kept_parts")
        ]
    )
    digests = [hashlib.md5(word.encode(), usedforsecurity=False).hexdigest() for word in words]
    for word in [*words, *digests]:
        assert word not in printed
        assert word not in stored
    server.query("DELETE FROM providers WHERE name = 'own-words'")


def test_what_no_header_can_carry_is_told_of_and_not_stored(
    v1: V1, moved: Import, server: Product
) -> None:
    owned = {"provider_type": "openai", "base_url": "http://127.0.0.1:9/v1"}
    broken = v1.add("providers", name="own-broken", api_key_enc="sk-1\nX-Evil: 1", **owned)
    pasted = v1.add("providers", name="own-pasted", api_key_enc="sk-2\n", **owned)
    mcp = v1.add(
        "mcp_server",
        id="mcp_server-77777777-7777-4777-8777-777777777777",
        server_name="broken",
        server_type="sse",
        server_url="https://sse.example.com/sse",
        token_enc="a\r\nb",
        custom_headers_enc=json.dumps({"X-Good": "ümlaut", "X Bad": "1", "X-Cut": "1\n2"}),
    )
    result = moved()
    assert "no header can carry" in told(result, broken)
    assert "no header can carry" in told(result, mcp)
    assert "left out" in told(result, mcp)
    kept = "SELECT api_key IS NOT NULL FROM providers WHERE id = %s"
    assert (server.query(kept, broken), server.query(kept, pasted)) == ([(False,)], [(True,)])
    for table, ids in (("providers", [broken, pasted]), ("mcp_servers", [mcp])):
        server.query(f"DELETE FROM {table} WHERE id = ANY(%s)", ids)


def test_values_that_are_nested_too_deep_hurt_nobody(
    v1: V1, moved: Import, server: Product
) -> None:
    deep = "[" * 5_000 + "]" * 5_000
    tool = v1.add("tools", name="deep_one", source_code="def deep_one(): pass", json_schema={})
    archive = v1.add("archives", name="deep")
    passage = v1.add_passage(archive, "deep", [])
    folder = v1.add("sources", name="Deep")
    for table, column, id_ in (
        ("tools", "json_schema", tool),
        ("tools", "tags", tool),
        ("tools", "metadata_", tool),
        ("tools", "pip_requirements", tool),
        ("archives", "embedding_config", archive),
        ("archival_passages", "metadata_", passage),
        ("archival_passages", "tags", passage),
        ("sources", "embedding_config", folder),
        ("sources", "metadata_", folder),
    ):
        v1.query(f"UPDATE {table} SET {column} = %s::json WHERE id = %s", deep, id_)
    result = moved()
    assert result["status"] == 0, result["errors"]
    for table, id_ in (("tools", tool), ("archives", archive), ("passages", passage)):
        assert server.query(f"SELECT count(*) FROM {table} WHERE id = %s", id_) == [(1,)]
    assert server.query("SELECT count(*) FROM folders WHERE id = %s", folder) == [(1,)]
