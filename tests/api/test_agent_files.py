"""Agent files through the official client, and what becomes of what they hold."""

import io
import json
from typing import Any

import pytest
from letta_client import APIStatusError, Letta

from tests.support import agent_files as files
from tests.support.agent_files import Files
from tests.support.canonical import differences
from tests.support.product import Product
from tests.support.provider import HANDLE, OTHER_HANDLE, FakeProvider, call, do, say


@pytest.fixture(scope="module")
def http(server: Product) -> Files:
    return Files(server.url)


def text_of(client: Letta, agent_id: str, said: str) -> str:
    answer = client.agents.messages.create(agent_id, input=said)
    return "".join(
        str(one.content) for one in answer.messages if one.message_type == "assistant_message"
    )


def test_the_official_client_imports_and_exports_a_file(client: Letta) -> None:
    content = json.dumps(files.whole(files.agent())).encode()
    done = client.agents.import_file(file=io.BytesIO(content))
    found = client.agents.retrieve(done.agent_ids[0], include=["agent.tags"])
    assert found.name == "ada 0_copy"
    assert found.tags == ["one", "two"]
    assert found.model == HANDLE
    assert found.llm_config.context_window == 32000
    told = json.loads(client.agents.export_file(found.id))
    assert told["agents"][0]["id"] == "agent-0"
    assert [one["role"] for one in told["agents"][0]["messages"]] == ["system", "user", "assistant"]
    assert told["agents"][0]["in_context_message_ids"] == ["message-0", "message-1", "message-2"]


def test_an_imported_history_is_what_the_model_reads_next(
    client: Letta, http: Files, provider: FakeProvider
) -> None:
    agent_id = http.load_one(files.whole(files.agent()))
    text_of(client, agent_id, do(say("I know")))
    prompt = [one["content"] for one in provider.prompts[-1]]
    assert prompt[1:3] == ["My dog is called Bix.", "A fine name."]
    assert prompt[0].startswith("You are Ada.")
    assert provider.problems == []


def test_the_form_says_what_is_otherwise_than_in_the_file(client: Letta, http: Files) -> None:
    made = files.agent(secrets={"KEY": "", "OTHER": ""})
    done = http.load(
        files.whole(made),
        name="bob",
        model=OTHER_HANDLE,
        secrets='{"KEY": "s3cret"}',
        strip_messages="true",
        project_id="p-1",
    )
    found = client.agents.retrieve(done["agent_ids"][0], include=["agent.secrets"])
    assert (found.name, found.model, found.project_id) == ("bob", OTHER_HANDLE, "p-1")
    assert {one.key: one.value for one in found.secrets} == {"KEY": "s3cret", "OTHER": ""}
    assert len(found.message_ids or ()) == 1
    told = http.export(found.id)
    assert told["agents"][0]["secrets"] == {"KEY": "", "OTHER": ""}
    assert "s3cret" not in json.dumps(told)
    assert text_of(client, found.id, do(say("hello"))) == "hello"


def test_older_names_of_the_form_still_hold(client: Letta, http: Files) -> None:
    form = {
        "override_name": "carl",
        "override_model_handle": OTHER_HANDLE,
        "env_vars_json": '{"A": "1"}',
    }
    found = client.agents.retrieve(http.load_one(files.whole(files.agent()), **form))
    assert (found.name, found.model) == ("carl", OTHER_HANDLE)


@pytest.mark.parametrize(
    "form",
    [
        {"secrets": "[1]"},
        {"secrets": '{"A": 1}'},
        {"env_vars_json": "{"},
        {"append_copy_suffix": "perhaps"},
        {"name": "x" * 501},
    ],
)
def test_a_form_that_makes_no_sense_is_refused(http: Files, form: dict[str, str]) -> None:
    assert http.send(files.whole(files.agent()), **form).status_code == 422


def test_a_model_of_the_form_that_is_not_there_is_not_found(http: Files) -> None:
    answer = http.send(files.whole(files.agent()), model="nobody/nothing")
    assert answer.status_code == 404
    answer = http.send(files.whole(files.agent()), model="nothing")
    assert answer.status_code == 400


def test_an_agent_whose_model_is_not_here_gets_another_and_it_is_told(
    client: Letta, http: Files
) -> None:
    made = files.agent(llm_config={"handle": "gone/model", "context_window": 8000})
    done = http.load(files.whole(made))
    assert any("model is not here" in line for line in done["notes"])
    assert client.agents.retrieve(done["agent_ids"][0]).model == HANDLE


def test_blocks_that_agents_share_are_shared_again(client: Letta, http: Files) -> None:
    made = [files.agent(n, block_ids=["block-0", f"block-{n + 1}"]) for n in range(2)]
    blocks = [
        files.block(0, "team", "we"),
        files.block(1, "human", "a", read_only=True, tags=["t"], metadata={"k": 1}),
        files.block(2, "human", "b", description="who"),
    ]
    done = http.load(files.whole(*made, blocks=blocks))
    first, second = (
        client.agents.retrieve(id_, include=["agent.blocks"]) for id_ in done["agent_ids"]
    )
    shared = [{one.id for one in found.blocks if one.label == "team"} for found in (first, second)]
    assert shared[0] == shared[1]
    mine = next(one for one in first.blocks if one.label == "human")
    assert (mine.value, mine.read_only, mine.limit) == ("a", True, 5000)


def test_tools_come_along_and_are_not_run(client: Letta, http: Files) -> None:
    bomb = files.tool(0, "af_bomb", source_code="raise SystemExit(open('/etc/passwd').read())")
    bare = files.tool(1, "af_bare", json_schema=None)
    made = files.agent(tool_ids=["tool-0", "tool-1", "tool-2", "tool-3"])
    built_in = {"id": "tool-2", "name": "conversation_search", "tool_type": "letta_core"}
    odd = files.tool(3, "af_composio", tool_type="external_composio")
    done = http.load(files.whole(made, tools=[bomb, bare, built_in, odd]))
    found = client.agents.retrieve(done["agent_ids"][0], include=["agent.tools"])
    by_name = {one.name: one for one in found.tools}
    assert list(by_name) == ["af_bomb", "af_bare", "conversation_search", "af_composio"]
    assert "request_heartbeat" not in json.dumps(by_name["af_bomb"].json_schema)
    derived: Any = by_name["af_bare"].json_schema
    assert derived["parameters"]["properties"]["n"]["type"] == "integer"
    assert any("calls of it fail" in line for line in done["notes"])
    told = {one["name"]: one for one in http.export(found.id)["tools"]}
    assert told["af_composio"]["tool_type"] == "external_composio"


def test_a_tool_that_is_here_is_overwritten_only_where_that_is_wanted(
    client: Letta, http: Files
) -> None:
    source = "def af_twice() -> int:\n    '''Mine.'''\n    return 1\n"
    mine = client.tools.create(source_code=source)
    made = files.whole(files.agent(tool_ids=["tool-0"]), tools=[files.tool(0, "af_twice")])
    http.load(made, override_existing_tools="false")
    assert client.tools.retrieve(mine.id).source_code == source
    done = http.load(made)
    assert client.tools.retrieve(mine.id).source_code == made["tools"][0]["source_code"]
    assert any("af_twice" in line for line in done["notes"])
    assert http.load(made)["notes"] == []


def test_a_request_that_waits_can_be_answered_here(
    client: Letta, http: Files, provider: FakeProvider
) -> None:
    request = files.message(
        2, "approval", tool_calls=[files.called("call_1", "conversation_search", query="Bix")]
    )
    made = files.agent(
        tool_ids=["tool-0"],
        tool_rules=[{"tool_name": "conversation_search", "type": "requires_approval"}],
        messages=[
            files.message(0, "system", "You are Ada."),
            files.message(1, "user", do(call("conversation_search", query="Bix"), say("found"))),
            request,
        ],
    )
    built_in = {"id": "tool-0", "name": "conversation_search", "tool_type": "letta_core"}
    file = files.whole(made, tools=[built_in])
    agent_id = http.load_one(file)
    again = http.export(agent_id)
    assert again["agents"][0]["messages"][2]["role"] == "approval"
    with pytest.raises(APIStatusError) as refused:
        client.agents.messages.create(agent_id, input="hello")
    assert refused.value.status_code == 409
    answer = client.agents.messages.create(
        agent_id,
        messages=[
            {
                "type": "approval",
                "approvals": [{"type": "approval", "tool_call_id": "call_1", "approve": True}],
            }
        ],
    )
    types = [one.message_type for one in answer.messages]
    assert types[0] == "tool_return_message"
    assert types[-1] == "assistant_message"
    assert provider.problems == []


def test_returns_of_one_step_keep_the_times_at_which_they_came(client: Letta, http: Files) -> None:
    later = files.TIME.format(3).replace("07:14", "07:15")
    calls = [files.called(id_, "af_slow", n=1) for id_ in ("c1", "c2")]
    returns = [files.returned("c1", "1"), files.returned("c2", "2") | {"o_created_at": later}]
    told = [
        files.message(0, "system", "You are Ada."),
        files.message(1, "user", "Both."),
        files.message(2, "assistant", tool_calls=calls),
        files.message(3, "tool", tool_call_id="c1", tool_returns=returns),
    ]
    shown = [one["id"] for one in told]
    agent_id = http.load_one(files.whole(files.agent(messages=told, in_context_message_ids=shown)))
    (first, second) = (
        one
        for one in client.agents.messages.list(agent_id, order="asc")
        if one.message_type == "tool_return_message"
    )
    assert (second.date - first.date).total_seconds() == 60
    exported = http.export(agent_id)
    both = exported["agents"][0]["messages"][3]["tool_returns"]
    assert [one.get("o_created_at") for one in both] == [None, later]
    again = http.export(http.load_one(exported))
    assert not (found := differences(exported, again)), "\n".join(found)


def test_what_is_not_in_context_is_found_and_not_shown_to_the_model(
    client: Letta, http: Files, provider: FakeProvider
) -> None:
    alert = '{"type": "system_alert", "message": "Note: prior messages (2) are hidden.\\n\\nDogs."}'
    made = files.agent(
        messages=[
            files.message(0, "system", "You are Ada."),
            files.message(1, "user", "An old secret."),
            files.message(2, "assistant", "Noted."),
            files.message(3, "user", "A failed one."),
            files.message(4, "user", "The newest."),
            files.message(5, "summary", alert),
        ],
        in_context_message_ids=["message-0", "message-5", "message-2", "message-4"],
    )
    agent_id = http.load_one(files.whole(made))
    text_of(client, agent_id, do(say("ok")))
    prompt = json.dumps(provider.prompts[-1])
    assert "The newest." in prompt
    assert "Dogs." in prompt
    assert "An old secret." not in prompt
    assert "A failed one." not in prompt
    listed = [
        one.content for one in client.agents.messages.list(agent_id) if hasattr(one, "content")
    ]
    assert "An old secret." in listed
    told = http.export(agent_id)["agents"][0]
    assert len(told["messages"]) == 8
    assert len(told["in_context_message_ids"]) == 6


def test_a_file_of_an_older_release_is_taken(client: Letta, http: Files) -> None:
    old = {
        "agent_type": "memgpt_agent",
        "name": "old",
        "system": "You are old.",
        "version": "0.6.47",
        "core_memory": [
            {"label": "human", "value": "h", "limit": 5000, "metadata_": {"a": 1}},
        ],
        "llm_config": files.agent()["llm_config"],
        "embedding_config": None,
        "in_context_message_indices": [0, 2],
        "messages": [
            {
                "role": "system",
                "content": [{"type": "text", "text": "s"}],
                "created_at": "2025-04-01T03:46:31",
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": '{"type": "user_message", "message": "gone"}'}
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": '{"type": "user_message", "message": "here"}'}
                ],
            },
        ],
        "tools": [{k: v for k, v in files.tool(0, "af_old").items() if k != "id"}],
        "tool_rules": [{"tool_name": "af_old", "type": "exit_loop"}],
        "tags": [{"tag": "t"}],
        "tool_exec_environment_variables": [{"key": "K", "value": "v"}],
        "multi_agent_group": None,
        "message_buffer_autoclear": False,
        "metadata_": None,
        "description": None,
    }
    found = client.agents.retrieve(
        http.load_one(old), include=["agent.blocks", "agent.secrets", "agent.tags"]
    )
    assert (found.name, found.agent_type, found.tags) == ("old", "memgpt_agent", ["t"])
    assert [one.label for one in found.blocks] == ["human"]
    assert [one.key for one in found.secrets] == ["K"]
    assert len(found.message_ids or ()) == 2
    wrapped = json.dumps(json.dumps(old)).encode()
    assert http.load(wrapped)["agent_ids"]
    assert http.load(b"\xef\xbb\xbf" + json.dumps(old).encode())["agent_ids"]


def test_parts_that_are_not_known_are_kept_told_and_exported_again(http: Files) -> None:
    made = files.agent(
        moods=["calm"],
        agent_type="voice_convo_agent",
        tool_rules=[{"type": "sing", "tool_name": "x"}],
        block_ids=["block-0"],
    )
    made["messages"][1]["mood"] = "keen"
    skill = {"name": "s", "files": {"SKILL.md": "# S"}, "source_url": None}
    file = files.whole(
        made,
        blocks=[files.block(0, "human", colour="red")],
        skills=[skill],
        weather={"sun": True},
    )
    done = http.load(file)
    told = " ".join(done["notes"])
    for name in ("moods", "mood", "colour", "weather", "voice_convo_agent", "tool_rules[0]"):
        assert name in told
    again = http.export(done["agent_ids"][0])
    assert again["agents"][0]["moods"] == ["calm"]
    assert again["agents"][0]["agent_type"] == "voice_convo_agent"
    assert again["agents"][0]["tool_rules"] == [{"type": "sing", "tool_name": "x"}]
    assert again["agents"][0]["messages"][1]["mood"] == "keen"
    assert again["blocks"][0]["colour"] == "red"
    assert again["skills"] == [skill]
    assert again["weather"] == {"sun": True}
    second = http.export(http.load_one(again))
    assert differences(again, second) == []


def test_an_export_leaves_out_what_is_not_wanted(client: Letta, http: Files) -> None:
    agent_id = http.load_one(files.whole(files.agent()))
    scrubbed = http.export(agent_id, scrub_messages=True)["agents"][0]
    assert (scrubbed["messages"], scrubbed["in_context_message_ids"]) == ([], [])
    conversation = client.conversations.create(agent_id=agent_id, summary="aside")
    client.conversations.messages.create(conversation.id, input="psst", streaming=False)
    both = http.export(agent_id)
    assert [one["summary"] for one in both["o_conversations"]] == ["aside"]
    alone = http.export(agent_id, conversation_id=conversation.id)
    assert alone["o_conversations"] == []
    assert "psst" in json.dumps(alone["agents"][0]["messages"])
    url = f"/v1/agents/{agent_id}/export"
    assert http.http.get(url, params={"conversation_id": "conv-x"}).status_code == 404
    assert http.http.get(url, params={"use_legacy_format": True}).status_code == 400
    skills = [{"name": "dig", "files": {"SKILL.md": "Dig."}}]
    posted = http.http.post(url, json={"skills": skills}).json()
    assert posted["skills"][0]["files"] == {"SKILL.md": "Dig."}
    assert http.http.post(url).status_code == 200


def test_what_another_organization_has_is_not_exported(http: Files) -> None:
    agent_id = "agent-00000000-0000-4000-8000-000000000001"
    assert http.http.get(f"/v1/agents/{agent_id}/export").status_code == 404


def _broken(**changes: Any) -> dict[str, Any]:
    return files.whole(files.agent(**changes))


@pytest.mark.parametrize(
    ("file", "place"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"\x80abc", "UTF-8"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"agents": ' + b"9" * 5_000 + b"}", "number"),
        (b"PK\x03\x04zip", "ZIP"),
        (b'{"agents": NaN}', "agents"),
        ({"agents": {}}, "agents"),
        ({"agents": []}, "agents"),
        ({"agents": ["ada"]}, "agents[0]: Input should be an object"),
        ({"core_memory": 3}, "core_memory"),
        (_broken(id=3), "agents[0].id"),
        (_broken(messages=[{"role": "ghost"}]), "agents[0].messages[0].role"),
        (
            _broken(messages=[files.message(0, "user", tool_calls="x")]),
            "agents[0].messages[0].tool_calls",
        ),
        (
            _broken(messages=[files.message(0, "user", content=[3])]),
            "agents[0].messages[0].content",
        ),
        (
            _broken(messages=[files.message(0, "user"), files.message(0, "user")]),
            "agents[0].messages[1].id",
        ),
        (_broken(tool_ids=["tool-9"]), "agents[0].tool_ids[0]"),
        (_broken(block_ids=["block-9"]), "agents[0].block_ids[0]"),
        (_broken(source_ids=["source-9"]), "agents[0].source_ids[0]"),
        (_broken(llm_config="gpt"), "agents[0].llm_config"),
        (
            _broken(memory_blocks=[{"label": "../x", "value": ""}]),
            "agents[0].memory_blocks[0].label",
        ),
        (files.whole(files.agent(), files.agent()), "agents[1].id"),
        (files.whole(files.agent(), blocks=[{"id": "b", "value": "x"}]), "blocks[0].label"),
        (files.whole(files.agent(), tools=[files.tool(0, "no name")]), "tools[0].name"),
        (files.whole(files.agent(), tools=[{"id": "t", "name": "x"}]), "tools[0].json_schema"),
        (
            files.whole(files.agent(), tools=[{"id": "t", "name": "x", "source_code": "def ("}]),
            "tools[0].source_code",
        ),
        (
            files.whole(files.agent(), groups=[{"id": "g", "agent_ids": ["agent-7"]}]),
            "groups[0].agent_ids[0]",
        ),
        (files.whole(files.agent(), files=[{"id": "f", "source_id": "s"}]), "files[0]"),
        (
            files.whole(files.agent(), o_archives=[{"name": "a", "passages": [{"text": ""}]}]),
            "o_archives[0].passages[0]",
        ),
        (
            files.whole(files.agent(), sources=[{"id": "s", "name": "\u5b57" * 301}]),
            "sources[0].name",
        ),
        (
            files.whole(
                files.agent(),
                o_identities=[{"identifier_key": "k" * 401, "name": "n", "identity_type": "user"}],
            ),
            "o_identities[0].identifier_key",
        ),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_its_place_and_changes_nothing(
    server: Product, http: Files, file: Any, place: str
) -> None:
    count = "SELECT (SELECT count(*) FROM kept_parts), (SELECT count(*) FROM tools)"
    before = server.query(count)
    answer = http.send(file)
    assert answer.status_code == 422, answer.text
    assert place in answer.json()["detail"]
    assert server.query(count) == before


def test_two_blocks_of_one_label_are_refused(http: Files) -> None:
    made = files.agent(block_ids=["block-0", "block-1"])
    answer = http.send(files.whole(made, blocks=[files.block(0, "a"), files.block(1, "a")]))
    assert answer.status_code == 422
    assert "agents[0]" in answer.json()["detail"]
