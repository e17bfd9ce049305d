"""`o export agent`, as a person runs it against a running server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.chats import speak
from tests.support.organizations import new_key, new_organization
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

TOKEN = "of the whole server"
MOVING = REPOSITORY / "docs" / "moving.md"


def run(
    server: Product, *words: str, url: str | None = None, key: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "export", "agent", *words],
        cwd=REPOSITORY,
        env=server.env | {"O_BASE_URL": url or server.url} | ({"O_API_TOKEN": key} if key else {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def name() -> str:
    """What only one agent is called."""
    return f"ada {new_id('x')[2:10]}"


@pytest.fixture(scope="module")
def key(server: Product) -> str:
    """Of an organization whose agents are all of this module, since `--all` takes them all."""
    return new_organization(server, "that is exported")


def filled(client: Letta, name: str) -> str:
    """An agent with something of every kind."""
    agent = client.agents.create(
        name=name,
        model=HANDLE,
        memory_blocks=[{"label": "persona", "value": "I am\n\nkind."}],
        tools=["archival_memory_insert"],
        secrets={"KEY": "not for files"},
    )
    asked = do(call("archival_memory_insert", content="kept *for long*"), say("It is kept."))
    client.agents.messages.create(agent.id, input=asked)
    conversation = client.conversations.create(agent_id=agent.id, summary="About: tea/coffee")
    speak(client, conversation.id, "hello there")
    return agent.id


def test_an_agent_is_put_into_files_that_people_read(
    server: Product, client: Letta, name: str, tmp_path: Path
) -> None:
    agent_id = filled(client, name)
    done = run(server, name, "--to", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = files_of(tmp_path / "out")
    folder = f"{name}-{agent_id.removeprefix('agent-').replace('-', '')[:12]}"
    archive = client.archives.list(agent_id=agent_id).items[0]
    assert sorted(found) == sorted(
        [
            "README.md",
            *(
                f"{folder}/{one}"
                for one in (
                    *("agent.json", f"{name}.af", "blocks/persona.md"),
                    f"archives/{archive.name}.jsonl",
                    *("conversations/own thread.md", "conversations/About_ tea_coffee.md"),
                )
            ),
        ]
    )
    own = found[f"{folder}/conversations/own thread.md"].decode()
    assert "<summary>call: archival_memory_insert" in own
    assert f"### {name} (assistant)" in own
    assert "> It is kept." in own
    assert "hello there" not in own
    assert "> hello there" in found[f"{folder}/conversations/About_ tea_coffee.md"].decode()
    assert found[f"{folder}/blocks/persona.md"].decode().endswith("---\n\nI am\n\nkind.\n")
    (passage,) = found[f"{folder}/archives/{archive.name}.jsonl"].decode().splitlines()
    assert json.loads(passage)["text"] == "kept *for long*"
    assert json.loads(found[f"{folder}/{name}.af"])["agents"]
    assert f"]({folder.replace(' ', '%20')}/)" in found["README.md"].decode()
    assert not any(b"not for files" in content for content in found.values())


def test_what_is_there_is_passed_over_until_it_is_to_be_overwritten(
    server: Product, client: Letta, name: str, tmp_path: Path
) -> None:
    agent_id = filled(client, name)
    assert run(server, agent_id, "--to", str(tmp_path)).returncode == 0
    first = files_of(tmp_path)
    gone, kept = (next(path for path in first if path.endswith(end)) for end in (".af", "na.md"))
    (tmp_path / gone).unlink()
    (tmp_path / kept).write_text("of my own")
    (tmp_path / f"{gone}.part").write_text("half of it")
    client.agents.messages.create(agent_id, input="more")
    again = run(server, agent_id, "--to", str(tmp_path))
    assert "1 files written, 4 were there" in again.stdout
    second = files_of(tmp_path)
    assert second.keys() == first.keys()
    assert second[kept] == b"of my own"
    assert {path for path in first if first[path] != second[path]} <= {gone, kept, _about(first)}
    assert run(server, agent_id, "--to", str(tmp_path), "--overwrite").returncode == 0
    third = files_of(tmp_path)
    assert third[kept] == first[kept]
    assert b"> more" in third[next(path for path in third if path.endswith("own thread.md"))]


def test_the_commands_do_what_the_document_says(server: Product, key: str, tmp_path: Path) -> None:
    agent = server.client(api_key=key).agents.create(name="ada", model=HANDLE)
    found = re.findall(r"```sh\n(.*?)```", MOVING.read_text(), re.DOTALL)
    (script,) = (one for one in found if "o export" in one)
    assert script.count(".venv/bin/o ") == 2
    done = subprocess.run(
        ["bash", "-euc", script.replace(".venv/bin/o ", f"{sys.executable} -m server.cli ")],
        cwd=tmp_path,
        env=server.env
        | {"O_BASE_URL": server.url, "O_API_TOKEN": key, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"`{agent.id}`" in (tmp_path / "out" / "README.md").read_text()


def _about(found: dict[str, Any]) -> str:
    return next(path for path in found if path.endswith("agent.json"))


def test_every_history_is_written_page_by_page_and_in_order(
    server: Product, client: Letta, name: str, tmp_path: Path
) -> None:
    agent = client.agents.create(name=name, model=HANDLE)
    rows = "SELECT id FROM conversations WHERE agent_id = %s"
    ((thread,),) = server.query(rows, agent.id)
    server.query(
        """
        INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role,
            parts, created_at)
        SELECT 'message-' || gen_random_uuid(), organization_id, agent_id, id, n, 'user',
            jsonb_build_array(jsonb_build_object('type', 'text', 'text', 'said ' || n)),
            now() - interval '1 day' + n * interval '1 second'
        FROM conversations, generate_series(1, 1001) AS n WHERE id = %s
        """,
        thread,
    )
    assert run(server, agent.id, "--to", str(tmp_path)).returncode == 0
    (path,) = tmp_path.rglob("own thread.md")
    said = [line for line in path.read_text().splitlines() if line.startswith("> said ")]
    assert said == [f"> said {n}" for n in range(1, 1_002)]


def test_files_of_an_agents_folders_are_put_out_as_their_text(
    server: Product, client: Letta, name: str, tmp_path: Path
) -> None:
    folder = client.folders.create(name=f"{name}: notes")
    page = b"<html><body><h1>Tea</h1><p>is <b>hot</b></p></body></html>"
    uploads = [
        ("plain.txt", b"one\ntwo", "text/plain"),
        ("plain.txt", b"another", "text/plain"),
        ("CON.md", "# \u00fc".encode(), "text/markdown"),
        ("page.html", page, "text/html"),
        ("empty.txt", b"", "text/plain"),
    ]
    for upload in uploads:
        client.folders.files.upload(folder.id, file=upload)
    eventually(
        lambda: all(
            one.processing_status == "completed" for one in client.folders.files.list(folder.id)
        ),
        what="the reading",
    )
    agent = client.agents.create(name=name, model=HANDLE, folder_ids=[folder.id])
    done = run(server, agent.id, "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (place,) = tmp_path.glob("*/files/*")
    assert place.name == f"{name}_ notes"
    texts = {path.name: path.read_text() for path in place.iterdir()}
    assert sorted(texts) == [
        *("_CON.md", "empty.txt", "page.html.txt", "plain.txt", "plain_(1).txt")
    ]
    assert texts["empty.txt"] == ""
    assert texts["plain.txt"] == "one\ntwo"
    assert texts["_CON.md"] == "# ü"
    assert "hot" in texts["page.html.txt"]


HOSTILE = ["../../up", "nul", ".", "emoji \U0001f469\u200d\U0001f4bb", "x" * 300, "twice", "Twice"]


def test_agents_of_hostile_names_and_labels_lie_beside_each_other(
    server: Product, client: Letta, tmp_path: Path
) -> None:
    labels = ["human", "Human", "a/b", "a:b", "a.."]
    ids = [
        client.agents.create(
            name=name,
            model=HANDLE,
            hidden=True,
            memory_blocks=[{"label": label, "value": label} for label in labels],
        ).id
        for name in HOSTILE
    ]
    done = run(server, *ids, ids[0], new_id("agent"), "--to", str(tmp_path / "in" / "out"))
    assert done.returncode == 1
    assert "there is no such agent" in done.stderr
    assert f"{len(ids)} agents in" in done.stdout
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == ["out"]
    folders = [path for path in (tmp_path / "in" / "out").iterdir() if path.is_dir()]
    assert len(folders) == len(ids)
    for folder in folders:
        blocks = {path.read_text().rsplit("---\n\n", 1)[1].strip() for path in folder.glob("b*/*")}
        assert blocks == set(labels)


def test_all_agents_are_put_out_hidden_ones_too(
    server: Product, key: str, name: str, tmp_path: Path
) -> None:
    client = server.client(api_key=key)
    hidden = client.agents.create(name=name, model=HANDLE, hidden=True)
    twice = [client.agents.create(name=f"{name} 2", model=HANDLE).id for _ in range(2)]
    done = run(server, "--all", "--to", str(tmp_path), key=key)
    assert done.returncode == 0, done.stderr
    abouts = [json.loads(path.read_text()) for path in tmp_path.glob("*/agent.json")]
    assert {hidden.id, *twice} <= {about["id"] for about in abouts}


@pytest.fixture(scope="module")
def guarded(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A server with a token, and with nobody's agents but those of its test."""
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "O_API_TOKEN": TOKEN}
    product = Product(tmp_path_factory.mktemp("guarded") / "o", env)
    product.start()
    yield product
    product.stop()


def test_all_agents_are_those_of_every_organization_that_the_token_opens(
    guarded: Product, tmp_path: Path
) -> None:
    server, token = guarded, TOKEN
    ours = server.client(api_key=token).agents.create(name="ours", model=HANDLE)
    key = new_organization(server, "Another one")
    theirs = server.client(api_key=key).agents.create(name="theirs", model=HANDLE)
    done = run(server, "--all", "--to", str(tmp_path / "all"), key=token)
    assert done.returncode == 0, done.stderr
    assert set(owners(tmp_path / "all")) == {ours.id, theirs.id}
    assert owners(tmp_path / "all")[theirs.id]["name"] == "Another one"
    shown = (tmp_path / "all" / "README.md").read_text()
    assert shown.index("## Another one") < shown.index("[theirs]")
    assert run(server, "theirs", "--to", str(tmp_path / "name"), key=token).returncode == 0
    assert run(server, theirs.id, "--to", str(tmp_path / "id"), key=token).returncode == 0
    assert set(owners(tmp_path / "name")) == set(owners(tmp_path / "id")) == {theirs.id}

    ((user,),) = server.query(
        "SELECT users.id FROM users JOIN organizations o ON o.id = organization_id"
        " WHERE o.name = 'Another one'"
    )
    one = ("--user", user, "--to", str(tmp_path / "one"))
    assert run(server, "--all", *one, key=token).returncode == 0
    assert set(owners(tmp_path / "one")) == {theirs.id}
    unknown = run(server, "--all", "--user", new_id("user"), "--to", str(tmp_path), key=token)
    assert unknown.returncode == 1
    assert "there is no user" in unknown.stderr

    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'Empty')", new_id("org"))
    done = run(server, "--all", "--to", str(tmp_path / "all"), key=token)
    assert done.returncode == 1
    assert "Empty (org-" in done.stderr
    assert "has no user" in done.stderr


def owners(directory: Path) -> dict[str, Any]:
    """The organizations of the agents in a directory, by the agents' ids."""
    abouts = [json.loads(path.read_text()) for path in directory.glob("*/agent.json")]
    return {about["id"]: about["organization"] for about in abouts}


def test_a_key_that_is_no_administrators_puts_out_its_own_organization(
    server: Product, name: str, tmp_path: Path
) -> None:
    reader = new_key(server, "read")
    agent = server.client().agents.create(name=name, model=HANDLE)
    done = run(server, name, "--to", str(tmp_path), key=reader)
    assert done.returncode == 0, done.stderr
    (about,) = tmp_path.glob("*/agent.json")
    assert json.loads(about.read_text())["id"] == agent.id
    other = run(server, name, "--user", new_id("user"), "--to", str(tmp_path), key=reader)
    assert other.returncode == 1
    assert "admin" in other.stderr


@pytest.mark.parametrize(
    ("words", "url", "said"),
    [
        ((), None, "name agents, or say --all"),
        (("--all", "ada"), None, "name agents, or say --all"),
        (("ada",), "http://127.0.0.1:9", "Nobody answers at http://127.0.0.1:9"),
        (("ada",), "nowhere", "is no address"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    server: Product, tmp_path: Path, words: tuple[str, ...], url: str | None, said: str
) -> None:
    done = run(server, *words, "--to", str(tmp_path / "out"), url=url)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
