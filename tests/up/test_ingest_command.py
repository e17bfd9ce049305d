"""`o ingest` as people with folders run it, and how commands like it find their server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from letta_client import Letta
from pydantic import SecretStr

from o.ids import new_id
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.api_client.address import address_of_api
from server.doctor import Finding, examine
from server.ingest import find_files
from server.up import state
from server.up.state import State
from tests.files import made
from tests.support.organizations import new_organization
from tests.support.ports import own_port
from tests.support.product import REPOSITORY, Product
from tests.support.provider import HANDLE


def ingest(url: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return o("ingest", *arguments, O_BASE_URL=url)


def o(*arguments: str | Path, **given: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("O_")}
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env=env | given,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "deep" / "er").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a.md").write_text("# A\n\nsomething")
    (root / "deep" / "a.md").write_text("# Another A")
    (root / "deep" / "er" / "Grüße 1.txt").write_text("hello")
    (root / ".git" / "config").write_text("hidden")
    (root / ".hidden.md").write_text("hidden")
    return root


def names(client: Letta, folder: str) -> list[str]:
    (found,) = client.folders.list(name=folder).items
    files = client.folders.files.list(found.id).items
    return sorted(str(file.file_name).removeprefix(f"{folder}/") for file in files)


def test_a_folder_is_put_into_the_organization_of_the_user_who_is_named(
    client: Letta, server: Product, documents: Path
) -> None:
    folder = new_id("handbook")
    key = new_organization(server, folder)
    ((user,),) = server.query(
        "SELECT u.id FROM users u JOIN organizations o ON o.id = organization_id WHERE o.name = %s",
        folder,
    )
    done = ingest(server.url, folder, documents, "--user", user)
    assert done.returncode == 0, done.stderr
    assert len(names(server.client(api_key=key), folder)) == 3
    assert not client.folders.list(name=folder).items
    unknown = ingest(server.url, folder, documents, "--user", new_id("user"))
    assert unknown.returncode == 1
    assert "there is no user" in unknown.stderr
    assert not client.folders.list(name=folder).items


def test_a_directory_becomes_a_folder_and_is_put_there_once(
    client: Letta, server: Product, documents: Path
) -> None:
    folder = new_id("handbook")
    first = ingest(server.url, folder, documents)
    assert first.returncode == 0, first.stderr
    assert f"{folder}: 3 read, 0 were there, 0 failed; 3 passages" in first.stdout
    assert names(client, folder) == ["a.md", "deep/a.md", "deep/er/Grüße 1.txt"]
    (documents / "b.md").write_text("new")
    (documents / "a.md").write_text("changed and longer than before")
    second = ingest(server.url, folder, documents)
    assert f"{folder}: 1 read, 3 were there, 0 failed" in second.stdout
    assert "1 of those that were there have another size here" in second.stdout
    third = ingest(server.url, folder, documents, "--on-duplicate", "replace")
    assert f"{folder}: 4 read, 0 were there, 0 failed" in third.stdout
    assert len(names(client, folder)) == 4


def test_what_failed_is_listed_in_the_end_and_the_others_are_there(
    client: Letta, server: Product, documents: Path
) -> None:
    folder = new_id("handbook")
    (documents / "scan.pdf").write_bytes(made.scanned_pdf(1))
    (documents / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (documents / "locked.txt").symlink_to(documents / "nowhere")
    done = ingest(server.url, folder, documents)
    assert done.returncode == 1
    assert f"{folder}: 3 read, 0 were there, 3 failed" in done.stdout
    told = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ")}
    assert "OCR" in told["scan.pdf"]
    assert "No text can be made of" in told["picture.png"]
    assert "It is no file." in told["locked.txt"]
    assert "a.md" in names(client, folder)


def test_a_server_that_is_not_there_is_one_line(documents: Path) -> None:
    done = ingest(f"http://127.0.0.1:{own_port()}", "folder", documents)
    assert done.returncode == 1
    assert "Nobody answers at" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_speak_to_the_server_of_their_data_directory_unless_told_otherwise(
    client: Letta, server: Product, documents: Path, tmp_path: Path
) -> None:
    here = {"O_DATA_DIR": str(server.data_dir)}
    shown = o("status", "--json", **here)
    assert json.loads(shown.stdout)["url"] == server.state["api"]
    folder = new_id("handbook")
    done = o("ingest", folder, documents, **here)
    first = f"{folder}: 3 read, 0 were there, 0 failed; 3 passages"
    assert done.stdout.startswith(first), "no bars, where there is no terminal"
    agent = client.agents.create(name=new_id("found"), model=HANDLE)
    done = o("export", "agent", agent.id, "--to", tmp_path / "out", **here)
    (line,) = done.stdout.splitlines()
    assert line.startswith("1 agents in ")
    nobody = f"http://127.0.0.1:{own_port()}"
    for told in ({"O_BASE_URL": nobody}, {"O_API_URL": nobody}, {"O_PORT": nobody[-5:]}):
        other = json.loads(o("status", "--json", **here, **told).stdout)
        assert other["url"] == nobody, told


def test_what_a_killed_server_has_left_is_no_address(tmp_path: Path) -> None:
    noted = State("http://127.0.0.1:9", "127.0.0.1:9", None, "postgresql://nobody@127.0.0.1/o", {})
    state.write(tmp_path, noted)
    (tmp_path / "lock").touch()
    assert address_of_api(Settings(data_dir=tmp_path)) == "http://127.0.0.1:8283"


def test_the_doctor_knows_its_own_server_on_a_port_and_another_one(
    server: Product, tmp_path: Path
) -> None:
    def look(**own: Any) -> Finding:
        settings = Settings(
            data_dir=tmp_path, port=server.port, sandbox_backend="unsafe-subprocess", **own
        )
        found = examine(settings, ProviderSettings(_env_file=None))
        return next(one for one in found if f"port {server.port}" in one.what)

    of_parts = look(
        database_url=SecretStr(server.state["database_url"]),
        temporal_address=server.state["temporal_address"],
    )
    assert of_parts.level == "ok"
    assert f"serves at {server.url}" in of_parts.what
    alone = look()
    assert (alone.level, "another O answers there" in alone.what) == ("bad", True)
    assert "O_DATA_DIR" in alone.what_to_do


def test_files_are_called_by_their_places_and_each_name_stands_once(documents: Path) -> None:
    other = documents.parent / "other"
    other.mkdir()
    (other / "a.md").write_text("a third")
    (documents / "loop").symlink_to(documents)
    found, failed = find_files([documents, documents / "a.md", other])
    assert [one.name for one in found] == ["a.md", "deep/a.md", "deep/er/Grüße 1.txt"]
    assert list(failed.values()) == ["Another file has the name a.md as well."]


def test_names_that_are_no_utf_8_are_put_there_as_they_can_be_shown(
    client: Letta, server: Product, documents: Path
) -> None:
    folder = new_id("handbook")
    old = os.fsencode(documents) + b"/caf\xe9.txt"  # Latin-1, as in the archives of old machines
    with open(old, "wb") as file:
        file.write(b"coffee")
    done = ingest(server.url, folder, documents)
    assert done.returncode == 0, done.stderr
    assert "caf\ufffd.txt" in names(client, folder)
    again = ingest(server.url, folder, documents)
    assert f"{folder}: 0 read, 4 were there, 0 failed" in again.stdout
