"""Folders and files of V1: with their text, their passages, and what agents had open."""

import hashlib
from typing import Any

from letta_client import Letta

from tests.letta_v1.moving import Import, line, news, told
from tests.letta_v1.rows import EMBEDDING, V1
from tests.support.product import Product, eventually
from tests.support.provider import EMBEDDING_HANDLE

SCRIPTED = EMBEDDING | {"handle": EMBEDDING_HANDLE, "embedding_dim": 3}
TEXT = "Zebras have stripes.\nWhales do not.\nLions roar.\n"


def a_folder(v1: V1, name: str, **columns: Any) -> str:
    return v1.add("sources", name=name, **{"embedding_config": SCRIPTED, **columns})


def a_file(
    v1: V1, folder: str, name: str, text: str | None, passages: list[str], **columns: Any
) -> str:
    file = v1.add(
        "files",
        source_id=folder,
        file_name=f"F/{name}",
        original_file_name=name,
        file_size=len(text or ""),
        **columns,
    )
    if text is not None:
        v1.add("file_contents", file_id=file, text=text)
    for place, one in enumerate(passages):
        v1.add(
            "source_passages",
            file_id=file,
            source_id=folder,
            file_name=f"F/{name}",
            text=one,
            embedding=str([1.0, float(place), 0.0, *[0.0] * 4_093]),
            embedding_config=SCRIPTED,
        )
    return file


def passages_of(server: Product, file_id: str) -> list[tuple[Any, ...]]:
    return server.query(
        "SELECT p.text, p.ordinal, v.passage_id IS NOT NULL, w.passage_id IS NOT NULL "
        "FROM passages p LEFT JOIN passage_vectors v ON v.passage_id = p.id "
        "LEFT JOIN passages_to_embed w ON w.passage_id = p.id "
        "WHERE p.file_id = %s ORDER BY p.ordinal",
        file_id,
    )


def row_of(server: Product, file_id: str) -> tuple[Any, ...]:
    (row,) = server.query(
        "SELECT processing_status, total_chunks, error_message, file_name FROM files WHERE id = %s",
        file_id,
    )
    return row


def test_a_file_comes_with_its_text_and_with_passages_in_the_order_of_the_text(
    v1: V1, moved: Import, server: Product
) -> None:
    folder = a_folder(v1, "Ordered", instructions="Look here.", metadata_={"lang": "en"})
    parts = TEXT.splitlines()
    file = a_file(v1, folder, "zoo.txt", TEXT, parts[::-1])
    result = moved()
    for table in ("sources", "files", "file_contents"):
        assert news(result, table) == 1
    assert news(result, "source_passages") == 3
    assert passages_of(server, file) == [(one, n, True, False) for n, one in enumerate(parts)]
    assert row_of(server, file) == ("completed", 3, None, "F/zoo.txt")
    assert server.query("SELECT text FROM file_contents WHERE file_id = %s", file) == [(TEXT,)]
    stands = server.query(
        "SELECT f.instructions, f.metadata, a.is_folder, a.embedding FROM folders f "
        "JOIN archives a ON a.id = f.archive_id WHERE f.id = %s",
        folder,
    )
    assert stands == [("Look here.", {"lang": "en"}, True, EMBEDDING_HANDLE)]


def test_what_v1_had_not_read_to_its_end_is_read_here(
    v1: V1, moved: Import, server: Product
) -> None:
    folder = a_folder(v1, "Half read")
    whole = a_file(v1, folder, "w.txt", TEXT, [], processing_status="parsing")
    half = a_file(v1, folder, "h.txt", TEXT, [TEXT], processing_status="embedding")
    bare = a_file(v1, folder, "b.txt", None, [], processing_status="pending")
    bad = a_file(v1, folder, "e.txt", " ", [], processing_status="error", error_message="No chunks")
    result = moved()
    assert line(result, "files")["unexplained"] == 0
    assert row_of(server, half)[0] == "completed"
    assert row_of(server, bad)[:3] == ("error", None, "No chunks")
    assert row_of(server, bare)[0] == "error"
    eventually(lambda: row_of(server, whole)[0] == "completed", what="its reading")
    assert TEXT.split("\n", maxsplit=1)[0] in passages_of(server, whole)[0][0]


def test_agents_have_the_folders_and_the_open_files_that_they_had(
    v1: V1, moved: Import, server: Product
) -> None:
    folder = a_folder(v1, "Attached")
    open_, closed, detached = (
        a_file(v1, folder, name, TEXT, [TEXT]) for name in ("o.txt", "c.txt", "d.txt")
    )
    agent, gone = v1.add_agent("reader"), v1.add_agent("gone", is_deleted=True)
    for one in (agent, gone):
        v1.add("sources_agents", agent_id=one, source_id=folder)
    for file, columns in (
        (open_, {"is_open": True}),
        (closed, {}),
        (detached, {"is_open": True, "is_deleted": True}),
    ):
        v1.add(
            "files_agents",
            file_id=file,
            agent_id=agent,
            file_name="F/x",
            source_id=folder,
            visible_content="1: Zebras",
            **columns,
        )
    v1.add("files_agents", file_id=open_, agent_id=gone, file_name="F/o.txt", source_id=folder)
    result = moved()
    assert (news(result, "sources_agents"), news(result, "files_agents")) == (1, 2)
    for table in ("sources_agents", "files_agents"):
        assert line(result, table)["unexplained"] == 0
    held = "SELECT folder_id FROM agent_folders WHERE agent_id = %s"
    assert server.query(held, agent) == [(folder,)]
    stands = "SELECT file_id, is_open FROM agent_files WHERE agent_id = %s"
    assert dict(server.query(stands, agent)) == {open_: True, closed: False}


def test_what_is_flagged_or_of_no_folder_is_left_out(v1: V1, moved: Import) -> None:
    gone = a_folder(v1, "Gone", is_deleted=True)
    a_file(v1, gone, "x.txt", TEXT, [TEXT])
    folder = a_folder(v1, "Kept for flags")
    a_file(v1, folder, "y.txt", TEXT, [TEXT], is_deleted=True)
    v1.add("source_passages", text="alone", source_id=folder, file_name="none", file_id=None)
    v1.add("file_contents", file_id="file-gone", text="of nothing")
    result = moved()
    assert news(result, "files") == 0
    for table in ("sources", "files", "source_passages"):
        assert line(result, table)["unexplained"] == 0, table


def test_a_folder_by_a_name_that_is_here_is_left_out_with_its_files(
    v1: V1, moved: Import, server: Product
) -> None:
    first = a_folder(v1, "One of a kind")
    moved()
    v1.query("DELETE FROM sources WHERE id = %s", first)
    second = a_folder(v1, "One of a kind")
    a_file(v1, second, "z.txt", TEXT, [TEXT])
    result = moved()
    assert (news(result, "sources"), news(result, "files")) == (0, 0)
    assert server.query("SELECT id FROM folders WHERE name = 'One of a kind'") == [(first,)]


def test_files_of_one_name_in_a_folder_all_come(v1: V1, moved: Import, server: Product) -> None:
    folder = a_folder(v1, "Namesakes")
    files = [
        a_file(v1, folder, "a.txt", str(n), [str(n)], created_at=f"2025-01-0{n + 1}T00:00:00Z")
        for n in range(3)
    ]
    result = moved()
    assert news(result, "files") == 3, line(result, "files")
    names = [row_of(server, file)[3] for file in files]
    assert names == ["F/a.txt", "F/a_(1).txt", "F/a_(2).txt"]
    assert "has its name" in told(result, files[2])
    assert set(line(moved(), "files")["fates"]) == {"unchanged"}


def test_a_name_that_no_index_takes_keeps_no_other_file(
    v1: V1, moved: Import, server: Product
) -> None:
    folder = a_folder(v1, "Long names")
    # So random that it is not compressed below the 2,704 bytes that an index takes.
    long = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(200))
    a_file(v1, folder, f"{long}.txt", "long", ["long"])
    other = a_file(v1, folder, "short.txt", "short", ["short"])
    result = moved()
    assert row_of(server, other)[0] == "completed"
    assert line(result, "files")["left"] == {
        "the database does not take it (ProgramLimitExceeded)": 1
    }


def test_a_folder_that_is_renamed_leaves_the_names_of_files_from_an_older_name_whole(
    v1: V1, moved: Import, server: Product, client: Letta
) -> None:
    folder = a_folder(v1, "Renamed already")
    files = [a_file(v1, folder, name, name, [name]) for name in ("a.txt", "b.txt", "c/d.txt")]
    moved()
    client.folders.update(folder, name="Renamed once more")
    assert [row_of(server, file)[3] for file in files] == ["F/a.txt", "F/b.txt", "F/c/d.txt"]
    client.folders.update(folder, name="F")
    client.folders.files.upload(folder, file=("e.txt", b"e"))
    client.folders.files.upload(folder, file=("z.txt", b"z"), name="G/z.txt")
    client.folders.update(folder, name="H")
    names = {one.file_name for one in client.folders.files.list(folder)}
    assert names == {"H/a.txt", "H/b.txt", "H/c/d.txt", "H/e.txt", "H/G/z.txt"}


def test_a_folder_that_was_left_out_for_its_name_comes_to_its_agents_in_a_later_run(
    v1: V1, moved: Import, server: Product
) -> None:
    first = a_folder(v1, "Of two minds")
    moved()
    v1.query("DELETE FROM sources WHERE id = %s", first)
    second = a_folder(v1, "Of two minds")
    file = a_file(v1, second, "z.txt", TEXT, [TEXT])
    agent = v1.add_agent("of a folder that comes late")
    v1.add("sources_agents", agent_id=agent, source_id=second)
    v1.add("files_agents", agent_id=agent, file_id=file, source_id=second, file_name="z.txt")
    moved()
    assert not server.query("SELECT 1 FROM agent_folders WHERE agent_id = %s", agent)
    v1.query("UPDATE sources SET name = 'Of one mind' WHERE id = %s", second)
    moved()
    had = server.query("SELECT folder_id FROM agent_folders WHERE agent_id = %s", agent)
    assert had == [(second,)]
    had = server.query("SELECT file_id FROM agent_files WHERE agent_id = %s", agent)
    assert had == [(file,)]
