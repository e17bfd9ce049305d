"""Folders and what agents have of them, through the official client."""

from typing import Any

import httpx
import pytest
from letta_client import ConflictError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE


@pytest.fixture
def name() -> str:
    """Names of folders are the only ones of their kind."""
    return new_id("folder")


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


def upload(client: Letta, folder_id: str, name: str, said: str = "hello", **more: Any) -> Any:
    """A file of a folder, as the official client uploads it."""
    file = (name, said.encode(), "text/plain")
    return client.folders.files.upload(folder_id, file=file, **more)


def test_a_folder_is_what_it_was_made_as(client: Letta, name: str) -> None:
    made = client.folders.create(
        name=name, description="d", instructions="i", metadata={"a": [1]}, embedding="o/m"
    )
    found = client.folders.retrieve(made.id)
    assert found == made
    assert made.id.startswith("source-")
    assert (found.name, found.description, found.instructions) == (name, "d", "i")
    assert found.metadata == {"a": [1]}
    assert found.embedding_config.handle == "o/m"


def test_a_folder_that_names_no_model_shows_one_all_the_same(client: Letta, name: str) -> None:
    # V1's clients read `embedding_config.embedding_dim` of every folder.
    assert client.folders.create(name=name).embedding_config.embedding_dim > 0


def test_the_size_of_passages_is_said_with_a_model_or_without(client: Letta, name: str) -> None:
    for number, embedding in enumerate(("o/m", None)):
        said: Any = {} if embedding is None else {"embedding": embedding}
        made = client.folders.create(name=f"{name}-{number}", embedding_chunk_size=99, **said)
        assert client.folders.retrieve(made.id).embedding_config.embedding_chunk_size == 99
        assert made.embedding_config.embedding_dim > 0


def test_two_folders_have_no_name_in_common(client: Letta, name: str) -> None:
    first = client.folders.create(name=name)
    with pytest.raises(ConflictError, match="choose another name"):
        client.folders.create(name=name)
    other = client.folders.create(name=f"{name}-2")
    with pytest.raises(ConflictError):
        client.folders.update(other.id, name=name)
    client.folders.delete(first.id)
    assert client.folders.create(name=name).id != first.id


def test_folders_are_found_by_name_and_paged_from_the_oldest(client: Letta, name: str) -> None:
    made = [client.folders.create(name=f"{name}-{n}").id for n in range(3)]
    assert [one.id for one in client.folders.list(name=f"{name}-1")] == [made[1]]
    after = client.folders.list(after=made[0], limit=2).items
    assert [one.id for one in after] == made[1:]
    back = client.folders.list(after=made[2], limit=2, order="desc").items
    assert [one.id for one in back] == made[1::-1]
    seen = [one.id for one in client.folders.list(limit=2)]
    assert [one for one in seen if one in made] == made


def test_a_page_goes_on_behind_a_folder_that_was_deleted(client: Letta, name: str) -> None:
    made = [client.folders.create(name=f"{name}-{n}").id for n in range(3)]
    client.folders.delete(made[1])
    assert made[2] in [one.id for one in client.folders.list(after=made[1]).items]


def test_a_change_changes_what_it_names(client: Letta, name: str) -> None:
    made = client.folders.create(name=name, description="d", metadata={"a": 1})
    changed = client.folders.update(made.id, instructions="read them", description=None)
    assert (changed.name, changed.instructions, changed.description) == (name, "read them", None)
    assert changed.metadata == {"a": 1}
    assert client.folders.update(made.id).name == name


def test_a_new_name_of_a_folder_is_one_of_its_files(client: Letta, name: str) -> None:
    folder = client.folders.create(name=name)
    file = upload(client, folder.id, "notes.txt")
    assert file.file_name == f"{name}/notes.txt"
    client.folders.update(folder.id, name=f"{name}/and more")
    (found,) = client.folders.files.list(folder.id)
    assert found.file_name == f"{name}/and more/notes.txt"
    assert found.original_file_name == "notes.txt"
    # What is uploaded from now on is told apart by the new name.
    again = upload(client, folder.id, "notes.txt")
    assert again.file_name == f"{name}/and more/notes_(1).txt"


def test_a_deleted_folder_is_gone_with_its_files(
    client: Letta, http: httpx.Client, name: str, agent: AgentState
) -> None:
    folder = client.folders.create(name=name)
    file = upload(client, folder.id, "notes.txt")
    client.agents.folders.attach(folder.id, agent_id=agent.id)
    assert http.delete(f"/v1/folders/{folder.id}").json() is None
    with pytest.raises(NotFoundError):
        client.folders.retrieve(folder.id)
    with pytest.raises(NotFoundError):
        client.folders.files.retrieve(file.id, folder_id=folder.id)
    with pytest.raises(NotFoundError):
        upload(client, folder.id, "more.txt")
    assert list(client.agents.folders.list(agent.id)) == []
    assert list(client.agents.files.list(agent.id)) == []


def test_folders_are_counted_and_summed_up(client: Letta, http: httpx.Client, name: str) -> None:
    count = http.get("/v1/folders/count").json()
    before = http.get("/v1/folders/metadata").json()
    folder = client.folders.create(name=name)
    for said in ("12345", "123"):
        upload(client, folder.id, f"{said}.txt", said)
    assert http.get("/v1/folders/count").json() == http.get("/v1/sources/count").json() == count + 1
    after = http.get("/v1/folders/metadata").json()
    assert after["total_files"] == before["total_files"] + 2
    assert after["total_size"] == before["total_size"] + 8
    assert after["sources"] == []
    asked = {"include_detailed_per_source_metadata": True}
    detailed = http.get("/v1/sources/metadata", params=asked).json()
    (mine,) = [one for one in detailed["sources"] if one["source_id"] == folder.id]
    assert (mine["source_name"], mine["file_count"], mine["total_size"]) == (name, 2, 8)
    assert {(one["file_name"], one["file_size"]) for one in mine["files"]} == {
        (f"{name}/12345.txt", 5),
        (f"{name}/123.txt", 3),
    }


def test_a_folder_is_found_by_its_name_whatever_is_in_it(
    client: Letta, http: httpx.Client, name: str
) -> None:
    folder = client.folders.create(name=f"{name}/a b?#%")
    for kind in ("folders", "sources"):
        found = http.get(f"/v1/{kind}/name/{name}%2Fa%20b%3F%23%25")
        assert found.json() == folder.id
        assert http.get(f"/v1/{kind}/name/{name}").status_code == 404


def test_agents_have_folders_and_their_files(client: Letta, name: str) -> None:
    folder = client.folders.create(name=name)
    files = [upload(client, folder.id, f"{n}.txt").id for n in range(3)]
    agent = client.agents.create(model=HANDLE, extra_body={"max_files_open": 2})
    client.agents.folders.attach(folder.id, agent_id=agent.id)
    client.agents.folders.attach(folder.id, agent_id=agent.id)  # a repeat changes nothing
    assert [one.id for one in client.agents.folders.list(agent.id)] == [folder.id]
    assert client.folders.agents.list(folder.id) == [agent.id]
    held = list(client.agents.files.list(agent.id))
    assert [one.file_id for one in held] == files[::-1]
    assert {one.folder_id for one in held} == {folder.id}
    assert {(one.file_name, one.folder_name) for one in held} == {
        (f"{name}/{n}.txt", name) for n in range(3)
    }
    assert sum(one.is_open for one in held) == 2
    client.agents.folders.detach(folder.id, agent_id=agent.id)
    assert list(client.agents.files.list(agent.id)) == []
    assert client.folders.agents.list(folder.id) == []


def test_the_files_of_an_agent_are_paged_as_v1_pages_them(
    client: Letta, http: httpx.Client, name: str
) -> None:
    folder = client.folders.create(name=name)
    body = {"folder_ids": [folder.id], "max_files_open": 5}
    agent = client.agents.create(model=HANDLE, extra_body=body)
    files = [upload(client, folder.id, f"{n}.txt").id for n in range(7)]
    path = f"/v1/agents/{agent.id}/files"
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3, "order": "asc"}
    while True:
        page = http.get(path, params=params).json()
        seen += [one["file_id"] for one in page["files"]]
        assert all(one["id"].startswith("file_agent-") for one in page["files"])
        if not page["has_more"]:
            break
        params["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    assert seen == files
    # As the official client goes on by itself, and by an id of a file.
    assert [one.file_id for one in client.agents.files.list(agent.id, limit=3)] == files[::-1]
    assert [one.file_id for one in client.agents.files.list(agent.id, after=files[2])] == [
        files[1],
        files[0],
    ]
    opened = [one.file_id for one in client.agents.files.list(agent.id, is_open=True)]
    shut = [one.file_id for one in client.agents.files.list(agent.id, is_open=False)]
    assert sorted(opened + shut) == sorted(files)
    assert len(opened) == 5


def test_a_file_that_comes_later_is_opened_where_there_is_room(client: Letta, name: str) -> None:
    folder = client.folders.create(name=name)
    agent = client.agents.create(
        model=HANDLE, extra_body={"source_ids": [folder.id], "max_files_open": 1}
    )
    first, second = (upload(client, folder.id, f"{n}.txt").id for n in range(2))
    held = {one.file_id: one.is_open for one in client.agents.files.list(agent.id)}
    assert held == {first: True, second: False}


def test_a_folder_that_is_set_takes_the_place_of_others(client: Letta, name: str) -> None:
    one, other = (client.folders.create(name=f"{name}-{n}").id for n in range(2))
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [one]})
    client.agents.update(agent.id, extra_body={"folder_ids": [other]})
    assert [each.id for each in client.agents.folders.list(agent.id)] == [other]
    client.agents.update(agent.id, name="another")
    assert [each.id for each in client.agents.folders.list(agent.id)] == [other]
    client.agents.update(agent.id, extra_body={"source_ids": []})
    assert list(client.agents.folders.list(agent.id)) == []


def test_an_agent_shows_its_folders_as_sources(
    client: Letta, http: httpx.Client, name: str
) -> None:
    folder = client.folders.create(name=name)
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]})
    asked = {"include": "agent.sources"}
    shown = http.get(f"/v1/agents/{agent.id}", params=asked).json()["sources"]
    assert [(one["id"], one["name"]) for one in shown] == [(folder.id, name)]
    # V1 shows a client of release 1 what it asks for, and others everything.
    assert (
        http.get(f"/v1/agents/{agent.id}", headers={"x-stainless-package-version": "1"}).json()[
            "sources"
        ]
        == []
    )


def test_a_folder_of_nobody_is_refused_before_an_agent_is_made(client: Letta) -> None:
    before = client.agents.list(name="wants a folder").items
    with pytest.raises(NotFoundError):
        client.agents.create(
            name="wants a folder", model=HANDLE, extra_body={"folder_ids": [new_id("source")]}
        )
    assert client.agents.list(name="wants a folder").items == before


def test_a_deleted_agent_has_no_folder(client: Letta, name: str) -> None:
    folder = client.folders.create(name=name)
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]})
    client.agents.delete(agent.id)
    assert client.folders.agents.list(folder.id) == []


def test_what_a_folder_keeps_its_passages_in_is_no_archive(
    server: Product, client: Letta, http: httpx.Client, name: str, agent: AgentState
) -> None:
    folder = client.folders.create(name=name)
    ((archive_id,),) = server.query("SELECT archive_id FROM folders WHERE id = %s", folder.id)
    assert [one.id for one in client.archives.list(name=name)] == []
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/embedding"),
        ("GET", "/agents"),
        ("POST", "/reembed"),
    ):
        answer = http.request(method, f"/v1/archives/{archive_id}{path}")
        assert answer.status_code == 404, (method, path)
    with pytest.raises(NotFoundError):
        client.agents.archives.attach(archive_id, agent_id=agent.id)
    with pytest.raises(NotFoundError):
        client.archives.passages.create(archive_id, text="x")


def test_older_clients_call_folders_sources(
    http: httpx.Client, name: str, agent: AgentState
) -> None:
    made = http.post("/v1/sources/", json={"name": name}).json()
    assert made["id"] in [one["id"] for one in http.get("/v1/sources/").json()]
    source = f"/v1/sources/{made['id']}"
    assert http.get(source).json() == made
    assert http.patch(source, json={"description": "d"}).json()["description"] == "d"
    file = http.post(f"{source}/upload", files={"file": ("a.txt", b"x", "text/plain")}).json()
    assert file["source_id"] == made["id"]
    listed = http.get(f"{source}/files", params={"check_status_updates": False}).json()
    assert [one["id"] for one in listed] == [file["id"]]
    assert http.get(f"{source}/files/{file['id']}").json()["file_name"] == f"{name}/a.txt"
    attached = http.patch(f"/v1/agents/{agent.id}/sources/attach/{made['id']}")
    assert attached.json()["id"] == agent.id
    assert [one["id"] for one in http.get(f"/v1/agents/{agent.id}/sources").json()] == [made["id"]]
    assert http.get(f"{source}/agents").json() == [agent.id]
    assert http.get(f"{source}/passages").status_code == 200
    assert http.delete(f"{source}/{file['id']}").status_code == 204
    detached = http.patch(f"/v1/agents/{agent.id}/sources/detach/{made['id']}")
    assert detached.json()["id"] == agent.id
    assert http.get(f"/v1/agents/{agent.id}/sources").json() == []
    assert http.delete(source).status_code == 200
