"""Organizations that look alike: each has one of everything."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.approvals import GUARDED, INSERT
from tests.support.product import Product
from tests.support.provider import HANDLE, Action, call, do, say

SOURCE = 'def greet(name: str) -> str:\n    """Greet.\n\n    Args:\n        name: Whom.\n    """\n'
SOURCE += "    return name\n"


@dataclass
class Organization:
    """An organization of a test.

    Attributes:
        client: Asks with its key, which opens everything of it.
        ids: Of what is in it, by the kind of the id.
    """

    id: str
    user_id: str
    client: httpx.Client
    ids: dict[str, str] = field(default_factory=dict)


def twin(server: Product) -> Organization:
    """An organization with one of everything: all have the same names and contents."""
    root = httpx.Client(base_url=f"{server.url}/v1/admin", timeout=120)
    id_ = root.post("/orgs/", json={"name": "twins"}).json()["id"]
    user_id = root.post("/users/", json={"name": "Ada", "organization_id": id_}).json()["id"]
    key = {"name": "all", "user_id": user_id, "scopes": ["admin"]}
    made_key = root.post("/keys/", json=key).json()
    secret, key_id = made_key["key"], made_key["id"]
    headers = {"authorization": f"Bearer {secret}"}
    client = httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=120)
    made = Organization(id_, user_id, client, {"org": id_, "user": user_id, "key": key_id})
    _fill(made)
    _fill_more(made)
    return made


def _fill(one: Organization) -> None:
    ids = one.ids
    ids["tool"] = _made(one, "/tools/", {"source_code": SOURCE, "source_type": "python"})
    ids["block"] = _made(one, "/blocks/", {"label": "human", "value": "nothing"})
    ids["archive"] = _made(one, "/archives/", {"name": "notes"})
    ids["folder"] = _made(one, "/folders/", {"name": "papers"})
    ids["identity"] = _made(
        one, "/identities/", {"identifier_key": "ada", "name": "Ada", "identity_type": "user"}
    )
    agent = {
        "name": "ada",
        "model": HANDLE,
        "block_ids": [ids["block"]],
        "tool_ids": [ids["tool"]],
        "tools": ["send_message_to_agent_and_wait_for_reply"],
        "folder_ids": [ids["folder"]],
        "identity_ids": [ids["identity"]],
        "tags": ["kind"],
        "secrets": {"TOKEN": "secret"},
        "tool_rules": [{"type": "requires_approval", "tool_name": GUARDED}],
    }
    ids["agent"] = _made(one, "/agents/", agent)


def _fill_more(one: Organization) -> None:
    ids = one.ids
    ids["group"] = _made(one, "/groups/", {"agent_ids": [ids["agent"]], "description": "we"})
    ids["conv"] = _made(one, f"/conversations/?agent_id={ids['agent']}", {})
    ids["passage"] = _made(one, f"/archives/{ids['archive']}/passages", {"text": "tea"})
    _ask(one, "PATCH", f"/agents/{ids['agent']}/archives/attach/{ids['archive']}")
    files = {"file": ("a.txt", b"hello", "text/plain")}
    ids["file"] = _ask(one, "POST", f"/folders/{ids['folder']}/upload", files=files)["id"]
    told = _turn(one, say("hello"))
    ids["message"], ids["run"] = told["messages"][0]["id"], told["messages"][0]["run_id"]
    ids["step"] = _ask(one, "GET", f"/runs/{ids['run']}/steps")[0]["id"]
    batch = {"requests": [{"agent_id": ids["agent"], "input": "hello"}]}
    ids["batch"] = _made(one, "/messages/batches", batch)
    asked = _turn(one, INSERT)["messages"][-1]
    ids["request"], ids["call"] = asked["id"], asked["tool_call"]["tool_call_id"]
    provider = {"name": "own", "provider_type": "vllm", "base_url": "http://127.0.0.1:9/v1"}
    ids["provider"] = _made(one, "/providers/", provider | {"api_key": "x"})
    config = {"mcp_server_type": "streamable_http", "server_url": "http://127.0.0.1:9/mcp"}
    ids["mcp_server"] = _made(one, "/mcp-servers/", {"server_name": "own", "config": config})
    ids["sandbox"] = _made(one, "/sandbox-config/local/default", {})
    variable = {"key": "TOKEN", "value": "secret"}
    where = f"/sandbox-config/{ids['sandbox']}/environment-variable"
    ids["sandbox-env"] = _made(one, where, variable)


def _turn(one: Organization, *actions: Action) -> Any:
    """Have the agent of an organization take these actions and say that it is done."""
    body = {"input": do(*actions, say("done"))}
    return _ask(one, "POST", f"/agents/{one.ids['agent']}/messages", json=body)


def asking(agent_id: str) -> Action:
    """The call by which an agent writes to another one."""
    name = "send_message_to_agent_and_wait_for_reply"
    return call(name, message="hello", other_agent_id=agent_id)


def _made(one: Organization, path: str, body: dict[str, Any]) -> str:
    return str(_ask(one, "POST", path, json=body)["id"])


def _ask(one: Organization, method: str, path: str, **more: Any) -> Any:
    answer = one.client.request(method, path, **more)
    assert answer.status_code < 300, (path, answer.text)
    return answer.json()
