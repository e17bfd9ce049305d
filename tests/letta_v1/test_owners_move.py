"""Identities, groups and sandbox configurations of V1."""

import httpx
import pytest
from letta_client import APIStatusError, Letta

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.doctor import examine
from tests.letta_v1.moving import Import, line, news, told
from tests.letta_v1.rows import V1, llm_config
from tests.letta_v1.sealed import sealed
from tests.support.product import Product


def get(server: Product, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/{path}", timeout=30)


def test_identities_come_with_their_agents_and_blocks(
    v1: V1, moved: Import, server: Product
) -> None:
    agent = v1.add_agent("of ada")
    block = v1.add("block", label="human", value="Ada.")
    properties = [
        {"key": "age", "value": 36, "type": "number"},
        {"key": "spec", "value": {"arms": 2}, "type": "json"},
    ]
    identity = v1.add(
        "identities",
        identifier_key="ada@example.org",
        name="Ada №1",
        properties=[*properties, "no property", {"key": "x", "type": "no type"}],
    )
    odd = v1.add("identities", identifier_key="odd", name="", identity_type="robot")
    v1.add("identities_agents", identity_id=identity, agent_id=agent)
    v1.add("identities_agents", identity_id=identity, agent_id="agent-gone")
    v1.add("identities_blocks", identity_id=identity, block_id=block)
    result = moved()
    assert (news(result, "identities"), news(result, "identities_agents")) == (2, 1)
    assert line(result, "identities_agents")["unexplained"] == 0
    shown = get(server, f"identities/{identity}").json()
    assert (shown["identifier_key"], shown["name"]) == ("ada@example.org", "Ada №1")
    assert shown["properties"] == properties
    assert shown["agent_ids"] == [agent]
    assert shown["block_ids"] == [block]
    assert get(server, f"identities/{odd}").json()["identity_type"] == "other"


def test_an_identity_by_a_key_that_is_here_is_left_out(
    v1: V1, moved: Import, server: Product
) -> None:
    first = v1.add("identities", identifier_key="same", name="One")
    moved()
    v1.query("DELETE FROM identities WHERE id = %s", first)
    second = v1.add("identities", identifier_key="same", name="Two")
    assert "is here already" in told(moved(), second)
    assert get(server, f"identities/{second}").status_code == 404


def test_groups_keep_the_order_of_their_agents(v1: V1, moved: Import, server: Product) -> None:
    agents = [v1.add_agent(f"member {n}") for n in range(3)]
    lead = v1.add_agent("lead")
    block = v1.add("block", label="shared", value="All know it.")
    order = [agents[2], agents[0], agents[1]]
    group = v1.add(
        "groups",
        description="Three",
        manager_type="dynamic",
        manager_agent_id=lead,
        max_turns=7,
        termination_token="END",
        agent_ids=order,
    )
    for agent in sorted(agents):
        v1.add("groups_agents", group_id=group, agent_id=agent)
    v1.add("groups_blocks", group_id=group, block_id=block)
    result = moved()
    assert (news(result, "groups_agents"), news(result, "groups_blocks")) == (3, 1)
    shown = get(server, f"groups/{group}").json()
    assert (shown["manager_type"], shown["manager_agent_id"]) == ("dynamic", lead)
    assert (shown["max_turns"], shown["termination_token"]) == (7, "END")
    assert shown["agent_ids"] == order
    assert shown["shared_block_ids"] == [block]


def test_variables_of_sandboxes_come_to_the_configuration_that_is_here(
    v1: V1, moved: Import, server: Product
) -> None:
    config = v1.add("sandbox_configs", config={"sandbox_dir": "/x"})
    v1.add(
        "sandbox_environment_variables",
        sandbox_config_id=config,
        key="MOVED_SEALED",
        value_enc=sealed("deep"),
    )
    moved()
    stands = "SELECT sandbox_config_id FROM tool_variables WHERE key = %s"
    ((first,),) = server.query(stands, "MOVED_SEALED")
    v1.query("DELETE FROM sandbox_environment_variables")
    v1.query("DELETE FROM sandbox_configs")
    second = v1.add("sandbox_configs")
    v1.add("sandbox_environment_variables", sandbox_config_id=second, key="MOVED_B", value="old")
    v1.add("sandbox_environment_variables", sandbox_config_id=second, key="MOVED_SEALED", value="x")
    result = moved()
    assert server.query(stands, "MOVED_B") == [(first,)]
    assert server.query("SELECT count(*) FROM sandbox_configs WHERE id = %s", second) == [(0,)]
    assert line(result, "sandbox_environment_variables")["unexplained"] == 0
    assert news(result, "sandbox_environment_variables") == 1


def test_agents_whose_models_nobody_here_has_are_told_of_with_what_to_set(
    v1: V1, moved: Import, client: Letta, server: Product
) -> None:
    models = ["anthropic/claude-sonnet-4-5"] * 3 + ["anthropic/claude-haiku-4-5", "acme/large"]
    models += ["openai/gpt-4o", "openai-proxy/gpt-4o", "letta/letta-free", "own/large"]
    ids = [v1.add_agent(one, llm_config=llm_config(one)) for one in models]
    v1.add("providers", name="own", provider_type="openai", base_url="https://own.test/v1")
    expected = {
        "anthropic": ("4 agents", "set ANTHROPIC_API_KEY where O is started", sorted(ids[:4])[:3]),
        "acme": ("1 agents", "make it with POST /v1/providers/", [ids[4]]),
    }
    for result in (moved("--dry-run"), moved()):
        lacking = {one["id"]: one["what"] for one in result["told"] if "agents have" in one["what"]}
        assert lacking.keys() == expected.keys()
        for name, (count, way_out, named) in expected.items():
            assert count in lacking[name]
            assert way_out in lacking[name]
            assert {one for one in ids if one in lacking[name]} == {*named}
    with pytest.raises(APIStatusError, match="Set ANTHROPIC_API_KEY where O is started"):
        client.agents.update(ids[5], model=models[0])
    settings = Settings(data_dir=server.data_dir, sandbox_backend="unsafe-subprocess")
    found = examine(settings, ProviderSettings(openai_api_key="sk-test"))
    (told_of,) = (one for one in found if "'anthropic', which is not here" in one.what)
    assert (told_of.level, told_of.what_to_do) == ("warn", expected["anthropic"][1])


def test_an_import_that_does_not_find_out_whose_models_are_lacking_has_moved_all_the_same(
    v1: V1, moved: Import
) -> None:
    v1.add_agent("ada")
    v1.query("ALTER TABLE providers RENAME provider_category TO unreadable")
    result = moved("--dry-run", "--only", "agents")
    assert (result["status"], news(result, "agents")) == (0, 1)
    assert "(UndefinedColumn)" in told(result, "-")
