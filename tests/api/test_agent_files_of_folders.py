"""Folders and files in agent files: what they are called afterwards."""

import uuid

import pytest
from letta_client import Letta

from tests.support import agent_files as files
from tests.support.agent_files import Files
from tests.support.product import Product
from tests.support.provider import HANDLE


@pytest.fixture
def http(server: Product) -> Files:
    return Files(server.url)


def _document(number: int, folder: str, name: str, **more: str) -> dict[str, str]:
    """A file of the first folder, as V1 writes it."""
    shown = {"file_name": f"{folder}/{name}", "original_file_name": name, "content": name}
    return {"id": f"file-{number}", "source_id": "source-0"} | shown | more


def _names(client: Letta, agent_id: str) -> list[str]:
    (folder,) = client.agents.folders.list(agent_id)
    found = client.folders.files.list(folder.id, order="asc").items
    return [str(one.file_name).removeprefix(f"{folder.name}/") for one in found]


def test_files_keep_the_names_and_places_that_they_have_in_their_folder(
    client: Letta, http: Files
) -> None:
    folder = client.folders.create(name=f"Names {uuid.uuid4()}")
    for given in ("notes.md", "notes.md", "notes.md"):
        client.folders.files.upload(folder.id, file=("notes.md", b"x"), name=given)
    client.folders.files.upload(folder.id, file=("linux.txt", b"x"), name="setup/linux.txt")
    agent = client.agents.create(model=HANDLE, folder_ids=[folder.id])
    names = _names(client, agent.id)
    assert names == ["notes.md", "notes_(1).md", "notes_(2).md", "setup/linux.txt"]
    exported = http.export(agent.id)
    again = http.load_one(exported)
    assert _names(client, again) == names


def test_names_of_files_are_made_fit_whatever_an_agent_file_calls_them(
    client: Letta, http: Files
) -> None:
    folder = f"Odd {uuid.uuid4()}"
    # So random that no index takes it whole, compressed or not.
    long = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(3_000))
    documents = [
        _document(0, folder, "a\n\x00b.txt"),
        _document(1, folder, "../../up.txt"),
        _document(2, folder, f"{long}.txt"),
        _document(3, folder, f"{long}.txt"),
        _document(4, "Called so before", "old.txt"),
        _document(5, folder, "", original_file_name=""),
    ]
    made = files.whole(
        files.agent(source_ids=["source-0"]),
        sources=[{"id": "source-0", "name": folder}],
        files=documents,
    )
    agent_id = http.load_one(made)
    names = _names(client, agent_id)
    assert "\n" not in "".join(names)
    assert names[1] == "up.txt"
    assert names[4:] == ["old.txt", "file-5"]
    assert len(set(names)) == 6
    assert all(len(name) <= 255 for name in names)
