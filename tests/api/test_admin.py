"""Organizations, users, keys and the record of who did what, as administrators have them."""

from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.routing import APIRoute

from api.access.audit import is_recorded
from api.app import _ROUTERS
from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID, new_id
from o.storage.database import libpq_url
from tests.support.approvals import GUARDED, INSERT
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, do, say

# These put themselves on record, or change nothing.
BY_THEMSELVES = {
    "mcp_create_mcp_server",
    "mcp_update_mcp_server",
    "add_mcp_server",
    "update_mcp_server",
}
CHANGE_NOTHING = {
    "check_provider",
    "check_existing_provider",
    "refresh_provider_models",
    "mcp_refresh_mcp_server_tools",
    "resync_mcp_server_tools",
    "test_mcp_server",
}
SECRET = "a secret that nobody reads"


@pytest.fixture(scope="module")
def root(server: Product) -> httpx.Client:
    """The administrator of the whole server."""
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


@pytest.fixture(scope="module")
def keyed(server: Product, root: httpx.Client) -> Callable[..., Any]:
    def make(name: str = "acme", **more: Any) -> Any:
        """A client of a new organization's user, with what it was made of."""
        org = root.post("/admin/orgs/", json={"name": name}).json()
        body = {"name": "Ada", "organization_id": org["id"]}
        user = root.post("/admin/users/", json=body).json()
        body = {"name": "own", "user_id": user["id"], "scopes": ["admin"]} | more
        key = root.post("/admin/keys/", json=body).json()
        headers = {"authorization": f"Bearer {key['key']}"}
        client = httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60)
        return client, org, user, key

    return make


def test_an_organization_a_user_and_a_key_are_made_and_changed(
    root: httpx.Client, keyed: Callable[..., Any]
) -> None:
    client, org, user, key = keyed()
    assert org == {
        "id": org["id"],
        "name": "acme",
        "created_at": org["created_at"],
        "privileged_tools": False,
    }
    assert (user["organization_id"], user["is_deleted"]) == (org["id"], False)
    assert (key["user_id"], key["organization_id"]) == (user["id"], org["id"])
    renamed = client.patch("/admin/orgs/", params={"org_id": org["id"]}, json={"name": "Acme Ltd"})
    assert renamed.json()["name"] == "Acme Ltd"
    changed = client.put("/admin/users/", json={"id": user["id"], "name": "Ada L."})
    assert changed.json()["name"] == "Ada L."
    assert client.get("/admin/users/").json() == [changed.json()]
    moved = {"id": user["id"], "organization_id": DEFAULT_ORGANIZATION_ID, "name": "Eve"}
    assert root.put("/admin/users/", json=moved).status_code == 409
    assert client.get("/admin/users/").json() == [changed.json()]
    newest = root.get("/admin/orgs/", params={"limit": 1000}).json()[-1]
    assert newest["id"] >= "org-"
    assert root.get("/admin/orgs/", params={"after": newest["id"]}).json() == []
    assert root.get("/admin/orgs/", params={"after": new_id("org")}).status_code == 404


def test_an_admin_of_an_organization_sees_and_changes_that_one_only(
    keyed: Callable[..., Any],
) -> None:
    client, org, user, key = keyed()
    _, other_org, other_user, other_key = keyed("other")
    assert [one["id"] for one in client.get("/admin/orgs/").json()] == [org["id"]]
    assert [one["id"] for one in client.get("/admin/users/").json()] == [user["id"]]
    assert [one["id"] for one in client.get("/admin/keys/").json()] == [key["id"]]
    assert client.post("/admin/orgs/", json={}).status_code == 403
    assert client.delete("/admin/orgs/", params={"org_id": org["id"]}).status_code == 403
    named = {"name": "x"}
    refused = [
        client.patch("/admin/orgs/", params={"org_id": other_org["id"]}, json=named),
        client.post("/admin/users/", json=named | {"organization_id": other_org["id"]}),
        client.put("/admin/users/", json=named | {"id": other_user["id"]}),
        client.delete("/admin/users/", params={"user_id": other_user["id"]}),
        client.post("/admin/keys/", json=named | {"user_id": other_user["id"]}),
        client.delete(f"/admin/keys/{other_key['id']}"),
        client.get("/admin/users/", params={"after": other_user["id"]}),
    ]
    assert [one.status_code for one in refused] == [404] * len(refused)
    shown = client.get("/admin/audit", params={"organization_id": other_org["id"]}).json()
    assert shown == []


def test_the_text_of_a_key_is_shown_once_and_a_revoked_key_opens_nothing(
    root: httpx.Client, keyed: Callable[..., Any]
) -> None:
    client, _, _, key = keyed(scopes=["read"])
    assert client.get("/agents/").status_code == 200
    assert client.get("/admin/keys/").status_code == 403
    assert key["key"] not in root.get("/admin/keys/", params={"limit": 1000}).text
    revoked = root.delete(f"/admin/keys/{key['id']}").json()
    assert revoked["revoked_at"] is not None
    assert root.delete(f"/admin/keys/{key['id']}").json() == revoked
    told = root.get("/admin/audit", params={"target_id": key["id"], "order": "asc"}).json()
    assert [(one["what"], one["details"]) for one in told] == [
        ("create_key", {"prefix": key["key"][:10], "scopes": ["read"]}),
        ("revoke_key", {"prefix": key["key"][:10]}),
    ]
    eventually(lambda: client.get("/agents/").status_code == 401)
    past = {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}
    assert root.post("/admin/keys/", json=past).status_code == 422
    assert root.post("/admin/keys/", json={"name": "x", "scopes": []}).status_code == 422


def test_a_user_who_is_deleted_is_shut_out_and_what_they_made_stays(
    root: httpx.Client, keyed: Callable[..., Any]
) -> None:
    client, org, user, _ = keyed()
    block = client.post("/blocks/", json={"label": "human", "value": "v"}).json()
    body = {"name": "Eve", "organization_id": org["id"]}
    eve = client.post("/admin/users/", json=body).json()
    key = client.post("/admin/keys/", json={"name": "eve", "user_id": eve["id"]}).json()
    gone = root.delete("/admin/users/", params={"user_id": user["id"]}).json()
    assert (gone["id"], gone["is_deleted"]) == (user["id"], True)
    eventually(lambda: client.get("/blocks/").status_code == 401)
    headers = {"authorization": f"Bearer {key['key']}"}
    assert root.get(f"/blocks/{block['id']}", headers=headers).status_code == 200
    # Nor does a client that names the user become the default one unawares.
    named = root.post(
        "/blocks/", json={"label": "x", "value": "x"}, headers={"user_id": user["id"]}
    )
    assert named.status_code == 404
    assert root.delete("/admin/users/", params={"user_id": user["id"]}).status_code == 404
    assert root.post("/admin/keys/", json={"name": "x", "user_id": user["id"]}).status_code == 404


@pytest.mark.parametrize("shut", ["organization", "user", "key"])
def test_what_is_shut_through_a_process_opens_nothing_there_from_that_answer_on(
    root: httpx.Client, keyed: Callable[..., Any], shut: str
) -> None:
    client, org, user, key = keyed()
    headers = client.headers
    call = {
        "organization": ("/admin/orgs/", {"org_id": org["id"]}),
        "user": ("/admin/users/", {"user_id": user["id"]}),
        "key": (f"/admin/keys/{key['id']}", {}),
    }
    path, params = call[shut]
    body = {"label": "human", "value": "v"}
    # By one connection, so that all goes through one process.
    assert root.post("/blocks/", json=body, headers=headers).status_code == 200
    assert root.delete(path, params=params).status_code == 200
    assert root.post("/blocks/", json=body, headers=headers).status_code == 401


def test_what_is_asked_without_a_key_cannot_be_deleted(root: httpx.Client) -> None:
    org = root.delete("/admin/orgs/", params={"org_id": DEFAULT_ORGANIZATION_ID})
    user = root.delete("/admin/users/", params={"user_id": DEFAULT_USER_ID})
    assert (org.status_code, user.status_code) == (409, 409)


def test_who_did_what_is_on_record_and_what_it_said_is_not(
    root: httpx.Client, keyed: Callable[..., Any]
) -> None:
    client, org, user, key = keyed()
    agent = client.post(
        "/agents/",
        json={
            "model": HANDLE,
            "memory_blocks": [{"label": "human", "value": "nothing"}],
            "secrets": {"TOKEN": SECRET},
            "tool_rules": [{"type": "requires_approval", "tool_name": GUARDED}],
        },
    ).json()
    path = f"/agents/{agent['id']}/messages"
    asked = client.post(path, json={"input": do(INSERT, say("done"))}).json()["messages"][-1]
    call_id = asked["tool_call"]["tool_call_id"]
    decision = {"type": "approval", "tool_call_id": call_id, "approve": True}
    answer = {"messages": [{"type": "approval", "approvals": [decision]}]}
    assert client.post(path, json=answer).status_code == 200
    assert client.post(path, json=answer).status_code == 200  # a repeat decides nothing
    sent = {"provider_type": "vllm", "base_url": "http://127.0.0.1:9/v1", "api_key": SECRET}
    provider = client.post("/providers/", json=sent | {"name": "own"}).json()
    client.patch(f"/providers/{provider['id']}", json={"api_key": SECRET})
    client.delete(f"/providers/{provider['id']}")
    sandbox = client.post("/sandbox-config/local/default").json()
    where = f"/sandbox-config/{sandbox['id']}/environment-variable"
    variable = client.post(where, json={"key": "TOKEN", "value": SECRET}).json()
    client.patch(f"/agents/{agent['id']}/reset-messages", json={})
    assert client.delete(f"/blocks/{new_id('block')}").status_code == 404
    client.delete(f"/agents/{agent['id']}")

    found = client.get("/admin/audit", params={"order": "asc"}).json()
    by_key = [(one["what"], one["target_id"]) for one in found if one["key_id"] == key["id"]]
    assert by_key == [
        ("set_secrets_of_agent", agent["id"]),
        ("decide_approval", asked["id"]),
        ("create_provider", provider["id"]),
        ("modify_provider", provider["id"]),
        ("delete_provider", provider["id"]),
        ("create_default_local_sandbox_config", sandbox["id"]),
        ("create_sandbox_env_var", variable["id"]),
        ("reset_messages", agent["id"]),
        ("delete_agent", agent["id"]),
    ]
    assert {one["user_id"] for one in found if one["key_id"] == key["id"]} == {user["id"]}
    assert {one["organization_id"] for one in found} == {org["id"]}
    shown = client.get("/admin/audit").text
    assert SECRET not in shown
    assert key["key"] not in shown
    assert "likes tea" not in shown
    (decided,) = client.get("/admin/audit", params={"what": "decide_approval"}).json()
    assert decided["details"] == {"approved": [call_id], "denied": []}
    page = client.get("/admin/audit", params={"limit": 1, "after": found[-1]["id"]}).json()
    assert page == [found[-2]]
    only = {"target_id": agent["id"], "user_id": user["id"], "start_date": "2020-01-01"}
    assert len(client.get("/admin/audit", params=only).json()) == 3
    assert client.get("/admin/audit", params={"end_date": "2020-01-01"}).json() == []
    made = root.get("/admin/audit", params={"target_id": key["id"]}).json()
    assert [one["what"] for one in made] == ["create_key"]


def test_what_the_server_does_to_an_organization_is_on_the_record_of_that_one(
    root: httpx.Client, keyed: Callable[..., Any]
) -> None:
    client, org, user, key = keyed()
    root.put("/admin/users/", json={"id": user["id"], "name": "Grace"})
    other, *_ = keyed()
    found = client.get("/admin/audit", params={"order": "asc"}).json()
    assert [(one["what"], one["target_id"]) for one in found] == [
        ("create_organization", org["id"]),
        ("create_user", user["id"]),
        ("create_key", key["id"]),
        ("update_user", user["id"]),
    ]
    assert org["id"] not in other.get("/admin/audit").text


def test_what_is_on_record_is_never_changed(server: Product, keyed: Callable[..., Any]) -> None:
    keyed()
    with (
        psycopg.connect(libpq_url(server.state["database_url"])) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="never changed"),
    ):
        connection.execute("UPDATE audit_records SET what = 'nothing'")


def test_no_deletion_and_no_change_by_administrators_escapes_the_record() -> None:
    escaped, seen = [], 0
    for router in _ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            recorded = [
                method for method in route.methods if is_recorded(method, f"/v1{route.path}")
            ]
            is_built = route.include_in_schema and recorded
            if is_built and route.operation_id not in BY_THEMSELVES | CHANGE_NOTHING:
                seen += 1
                calls = {one.call.__name__ for one in route.dependant.dependencies if one.call}
                if "_transaction" not in calls:
                    escaped.append((route.path, route.operation_id))
    assert escaped == []
    assert seen > 30
