"""Keys: what each scope opens on every route."""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from api.access.keys import KNOWN_S
from o.domain.keys import SCOPES, hash_of
from o.ids import new_id
from o.storage.database import Database, libpq_url
from o.storage.organizations.keys import note_use
from tests.support.document import DOCUMENT
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE, do, say

Make = Callable[..., httpx.Client]
OPEN = {"/v1/health/", "/v1/ready/"}
OPERATIONS = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if path not in OPEN
]
PREFIXES = {"conversation": "conv", "folder": "source", "memory": "passage"}


def run_o(server: Product, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of `o` on the server's database."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        cwd=REPOSITORY,
        env=server.env | {"O_DATA_DIR": str(server.data_dir), "PATH": os.environ["PATH"]} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def o(server: Product, *arguments: str) -> str:
    """What a command prints; the id of a key is on standard error."""
    done = run_o(server, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def keyed(server: Product) -> Make:
    """Makes keys of one user, in an organization of these tests."""
    root = httpx.Client(base_url=f"{server.url}/v1/admin", timeout=60)
    org = root.post("/orgs/", json={"name": "keys"}).json()["id"]
    user = root.post("/users/", json={"name": "Ada", "organization_id": org}).json()["id"]

    def make(*scopes: str, **more: Any) -> httpx.Client:
        body = {"name": "of a test", "user_id": user, "scopes": scopes or ["admin"]} | more
        headers = {"authorization": f"Bearer {root.post('/keys/', json=body).json()['key']}"}
        return httpx.Client(base_url=server.url, headers=headers, timeout=60)

    return make


def address(path: str) -> str:
    """The path with an id for each parameter, of things that are not there."""

    def one(found: re.Match[str]) -> str:
        name = found[1]
        kind = name.removesuffix("_id")
        return new_id(PREFIXES.get(kind, kind)) if name.endswith("_id") else "1"

    return re.sub(r"{(\w+)}", one, path)


def scopes_of(method: str, path: str) -> set[str]:
    """The scopes that open an operation, as the documentation has it."""
    others_keys = (
        r"/v1/(providers(/.*)?|mcp-servers/({\w+}(/refresh)?)?"
        r"|tools/mcp/servers(/({\w+}(/resync)?|test))?)$"
    )
    reading_posts = r"/(search|stream|export|generate-schema|preview-raw-payload)$"
    sends = r"/(agents/{\w+}/messages(/stream|/async)?|conversations/{\w+}/messages)$"
    if re.match("/v1/(admin|sandbox-config)/", path):
        return {"admin"}
    if method != "GET" and re.match(others_keys, path):
        return {"admin"}
    if method == "POST" and re.search(sends, path):
        return {"admin", "write", "approve"}
    if path.startswith("/v1/mcp-servers/connect/"):
        return {"admin", "write"}
    if method == "GET" or (method == "POST" and re.search(reading_posts, path)):
        return {"admin", "write", "read"}
    return {"admin", "write"}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_what_its_scope_says_on_every_route(keyed: Make, scope: str) -> None:
    client = keyed(scope)
    for (method, path), end in itertools.product(OPERATIONS, ("", "%0A")):  # routes take both
        status = client.request(method, address(path) + end).status_code
        assert (status != 403) is (scope in scopes_of(method, path)), (method, path, end, status)
        assert status not in (401, 500), (method, path, end)


@pytest.mark.parametrize("how", ["expired", "revoked", "unknown"])
def test_a_key_that_is_not_good_opens_no_route(server: Product, keyed: Make, how: str) -> None:
    client = keyed()
    secret = client.headers["authorization"].removeprefix("Bearer ")
    if how == "unknown":
        client.headers["authorization"] = f"Bearer osk_{'x' * 43}"
    else:
        column = "expires_at" if how == "expired" else "revoked_at"
        server.query(f"UPDATE api_keys SET {column} = now() WHERE hash = %s", hash_of(secret))
    answers = {
        (method, path): client.request(method, address(path)).status_code
        for method, path in OPERATIONS
    }
    assert set(answers.values()) == {401}


def test_a_key_that_is_revoked_while_a_body_comes_opens_nothing_at_its_end(
    server: Product, keyed: Make
) -> None:
    client = keyed()
    secret = client.headers["authorization"].removeprefix("Bearer ")

    def slowly() -> Iterator[bytes]:
        yield b'{"label": "human", '
        server.query("UPDATE api_keys SET revoked_at = now() WHERE hash = %s", hash_of(secret))
        time.sleep(2 * KNOWN_S)
        yield b'"value": "v"}'

    headers = {"content-type": "application/json"}
    assert client.post("/v1/blocks/", content=slowly(), headers=headers).status_code == 401


def test_what_a_key_says_is_held_to_its_scope(keyed: Make) -> None:
    agent = keyed().post("/v1/agents/", json={"model": HANDLE}).json()
    path = f"/v1/agents/{agent['id']}/messages"
    approves = {"messages": [{"type": "approval", "approve": True, "approval_request_id": "x"}]}
    approver, writer = keyed("approve"), keyed("write")
    assert approver.post(path, json={"input": do(say("hello"))}).status_code == 403
    assert approver.post(path, json=approves | {"override_system": "obey"}).status_code == 403
    assert approver.post(path, json=approves).status_code not in (401, 403)
    assert writer.post(path, json=approves).status_code == 403


def test_keys_are_made_listed_and_revoked_by_a_command(server: Product) -> None:
    secret = o(server, "key", "create", "of a\ntest\x1b[2J", "--days", "1", "--scope", "read")
    client = httpx.Client(headers={"authorization": f"Bearer {secret}"}, timeout=60)
    agents = f"{server.url}/v1/agents/"
    assert client.get(agents).status_code == 200
    listed = next(line for line in o(server, "key", "list").splitlines() if secret[:10] in line)
    assert secret not in listed
    assert listed.endswith(r"of a\ntest\x1b[2J"), "a name writes no lines of its own"
    o(server, "key", "revoke", listed.split()[0])
    eventually(lambda: client.get(agents).status_code == 401)
    counted = "SELECT what FROM audit_records WHERE target_id = %s ORDER BY created_at"
    records = server.query(counted, listed.split()[0])
    assert records == [("create_key",), ("revoke_key",)]
    again = run_o(server, "key", "revoke", listed.split()[0])
    assert again.returncode == 0
    assert "was revoked before" in again.stderr
    assert len(server.query(counted, listed.split()[0])) == 2


def test_what_a_command_makes_beside_a_key_is_on_record(server: Product) -> None:
    name = new_id("organization")
    o(server, "key", "create", "of a test", "--new-user", name)
    records = server.query(
        "SELECT a.what, a.target_id, a.details FROM audit_records a"
        " JOIN organizations o ON o.id = a.organization_id WHERE o.name = %s ORDER BY a.created_at",
        name,
    )
    assert [what for what, *_ in records] == ["create_organization", "create_user", "create_key"]
    assert [target.partition("-")[0] for _, target, _ in records] == ["org", "user", "key"]
    assert all(details["by"] == "o key" for *_, details in records)


@pytest.mark.parametrize("flag", ["--user", "--new-user"])
def test_a_key_of_nobody_is_not_made_for_the_default_user(server: Product, flag: str) -> None:
    done = run_o(server, "key", "create", "of a test", flag, "")
    assert (done.returncode, done.stdout) == (1, "")
    assert "leave them out, or name one" in done.stderr


def test_the_list_tells_organizations_apart_and_a_second_of_a_name_is_not_made(
    server: Product,
) -> None:
    acme, user = new_id("Acme"), r"user-\S+"
    o(server, "key", "create", "of the\x1b first", "--new-user", acme)
    again = run_o(server, "key", "create", "of the second", "--new-user", acme)
    assert (again.returncode, again.stdout) == (1, "")
    hint = re.search(rf"an organization '{acme}' already.* --user ({user}),", again.stderr)
    assert hint is not None, again.stderr
    o(server, "key", "create", "second", "--user", hint[1])
    header, *lines = o(server, "key", "list").splitlines()
    mine = [line for line in lines if acme in line]
    at = header.index("ORGANIZATION")
    assert all(re.match(rf"{acme} \(org-\S+\) +{acme} \({hint[1]}\)  ", line[at:]) for line in mine)
    assert [line[header.index("NAME") :] for line in mine] == ["second", r"of the\x1b first"]
    server.query("UPDATE users SET deleted_at = now() WHERE id = %s", hint[1])
    last = run_o(server, "key", "create", "of the third", "--new-user", acme)
    assert last.stderr.endswith(f"'{acme}' already: give the new one another name\n"), last.stderr


def test_organizations_and_users_are_listed_by_commands(server: Product) -> None:
    acme, globex = new_id("Acme"), new_id("Globex")
    for name in (acme, f"{globex}\x1b[2J"):
        o(server, "key", "create", "of a test", "--new-user", name)
    header, *lines = o(server, "org", "list").splitlines()
    assert header.split() == ["ORGANIZATION", "MADE", "NAME"]
    made = [line for line in lines if acme in line or globex in line]
    assert [line[header.index("NAME") :] for line in made] == [rf"{globex}\x1b[2J", acme]
    org_id = made[1].split()[0]
    header, *lines = o(server, "user", "list", "--org", org_id).splitlines()
    assert header.split() == ["USER", "MADE", "ORGANIZATION", "NAME"]
    (line,) = lines
    assert re.fullmatch(rf"user-\S+ +\S+ \S+ +{acme} \({org_id}\)  {acme}", line), line
    everybody = o(server, "user", "list")
    assert line.split()[0] in everybody
    assert rf"{globex}\x1b[2J (" in everybody
    unknown = run_o(server, "user", "list", "--org", new_id("org"))
    assert (unknown.returncode, unknown.stdout) == (1, "")


def test_two_that_make_an_organization_of_one_name_at_once_make_one(server: Product) -> None:
    name, lock = new_id("Acme"), 4712
    server.query(
        f"""
        CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN NEW; END $$;
        CREATE TRIGGER paused BEFORE INSERT ON organizations
        FOR EACH ROW EXECUTE FUNCTION pause()
        """
    )
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    try:
        with ThreadPoolExecutor(2) as pool:
            with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
                holding.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
                words = ("key", "create", "of a test", "--new-user", name)
                both = [pool.submit(run_o, server, *words) for _ in range(2)]
                eventually(lambda: server.query(waiting)[0][0] >= 2, what="two that wait")
            done = [one.result(90) for one in both]
    finally:
        server.query("DROP TRIGGER paused ON organizations; DROP FUNCTION pause()")
    assert sorted(one.returncode for one in done) == [0, 1]
    assert sum(f"an organization '{name}' already" in one.stderr for one in done) == 1
    assert server.query("SELECT count(*) FROM organizations WHERE name = %s", name) == [(1,)]


def test_the_command_says_what_to_do_about_a_database_without_our_schema(server: Product) -> None:
    server.query("CREATE DATABASE nothing_in_it")
    url = make_url(server.state["database_url"]).set(database="nothing_in_it")
    env = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    try:
        done = run_o(server, "key", "list", **env)
    finally:
        server.query("DROP DATABASE nothing_in_it WITH (FORCE)")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run `o migrate`, then try again")


def test_the_use_of_a_key_is_noted_once_a_minute(server: Product, keyed: Make) -> None:
    client = keyed()
    secret = client.headers["authorization"].removeprefix("Bearer ")
    used = "SELECT last_used_at FROM api_keys WHERE hash = %s"
    client.get("/v1/agents/")
    ((first,),) = server.query(used, hash_of(secret))
    assert first is not None

    async def note(after: timedelta) -> datetime:
        database = Database(libpq_url(server.state["database_url"]), pool_size=1, name="a test")
        ((key_id,),) = server.query("SELECT id FROM api_keys WHERE hash = %s", hash_of(secret))
        async with database.begin() as connection:
            await note_use(connection, key_id, first + after, every=timedelta(minutes=1))
        await database.close()
        ((noted,),) = server.query(used, hash_of(secret))
        return datetime.fromisoformat(str(noted))

    assert asyncio.run(note(timedelta(seconds=59))) == first
    assert asyncio.run(note(timedelta(seconds=60))) == first + timedelta(seconds=60)
