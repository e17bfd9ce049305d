"""Files as clients upload them, by accident also in ways that nobody means."""

import hashlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from letta_client import APIStatusError, ConflictError, Letta

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

MIB = 1024 * 1024


@pytest.fixture
def folder(client: Letta) -> Any:
    return client.folders.create(name=new_id("folder"))


@pytest.fixture(scope="module")
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


def post(http: httpx.Client, folder: Any, *files: Any, **params: Any) -> httpx.Response:
    """An upload of whatever is given, each as httpx spells it in a form."""
    fields = [("file", file) for file in files]
    return http.post(f"/v1/folders/{folder.id}/upload", files=fields, params=params)


def send(http: httpx.Client, folder: Any, body: bytes, kind: str) -> httpx.Response:
    """A body as it is."""
    headers = {"content-type": kind}
    return http.post(f"/v1/folders/{folder.id}/upload", content=body, headers=headers)


def form(disposition: str | bytes, body: bytes, *headers: str) -> bytes:
    """A form of one field, with these headers."""
    raw = disposition if isinstance(disposition, bytes) else disposition.encode()
    more = "".join(f"{header}\r\n" for header in headers).encode()
    head = b'--x\r\ncontent-disposition: form-data; name="file"; ' + raw + b"\r\n" + more
    return head + b"\r\n" + body + b"\r\n--x--\r\n"


FORM = "multipart/form-data; boundary=x"


def test_a_file_is_what_was_uploaded(server: Product, client: Letta, folder: Any) -> None:
    said = b"# Hello\n"
    file = client.folders.files.upload(folder.id, file=("hello.md", said, "text/markdown"))
    assert file.id.startswith("file-")
    assert (file.source_id, file.file_name) == (folder.id, f"{folder.name}/hello.md")
    assert (file.original_file_name, file.file_type, file.file_size) == (
        "hello.md",
        "text/markdown",
        len(said),
    )
    assert file.processing_status in ("pending", "parsing")
    ((key,),) = server.query("SELECT content_key FROM files WHERE id = %s", file.id)
    assert key == hashlib.sha256(said).hexdigest()


def test_a_file_is_read_and_its_text_shown_where_it_is_asked_for(
    client: Letta, folder: Any
) -> None:
    file = client.folders.files.upload(folder.id, file=("a.txt", b"Ada likes tea.", "text/plain"))
    read = eventually(
        lambda: (
            found
            if (
                found := client.folders.files.retrieve(
                    file.id, folder_id=folder.id, include_content=True
                )
            ).processing_status
            == "completed"
            else None
        ),
        within_s=60,
        what="a file that is read",
    )
    assert (read.content, read.total_chunks, read.chunks_embedded) == ("Ada likes tea.", 1, 1)
    (listed,) = client.folders.files.list(folder.id, include_content=True)
    assert listed.content == "Ada likes tea."
    (plain,) = client.folders.files.list(folder.id)
    assert plain.content is None
    passages: Any = client.get(f"/v1/folders/{folder.id}/passages", cast_to=object)
    (passage,) = passages
    assert (passage["text"], passage["file_id"], passage["source_id"], passage["archive_id"]) == (
        "Ada likes tea.",
        file.id,
        folder.id,
        None,
    )
    assert passage["file_name"] == f"{folder.name}/a.txt"
    # No passages of files are among those of archives.
    found: Any = client.post("/v1/passages/search", cast_to=object, body={"query": "Ada likes tea"})
    assert file.id not in str(found)


def test_fewer_files_come_at_once_where_their_texts_are_long_whatever_was_uploaded(
    server: Product, client: Letta, folder: Any
) -> None:
    made = [
        client.folders.files.upload(folder.id, file=(f"{name}.txt", b"Ada likes tea."))
        for name in "abc"
    ]

    def are_read() -> bool:
        found = client.folders.files.list(folder.id)
        return {file.processing_status for file in found} == {"completed"}

    eventually(are_read, within_s=60, what="files that are read")
    # As an import may bring them, or a file that unfolds.
    server.query("UPDATE files SET file_size = NULL WHERE folder_id = %s", folder.id)
    server.query(
        "UPDATE file_contents SET text = repeat('x', 9000000) WHERE file_id = ANY(%s)",
        [file.id for file in made],
    )
    page = client.folders.files.list(folder.id, include_content=True, order="asc")
    assert [file.id for file in page.items] == [made[0].id]
    assert [file.id for file in page] == [file.id for file in made]


def test_what_comes_in_pieces_is_stored_as_it_was(
    server: Product, http: httpx.Client, folder: Any
) -> None:
    body = b"0123456789abcde\n" * (MIB // 16 * 3 + 7)
    file = post(http, folder, ("large.txt", body, "text/plain")).json()
    assert file["file_size"] == len(body)
    # Read before its upload is dropped, or known by its digest behind that.
    ((key,),) = server.query("SELECT content_key FROM files WHERE id = %s", file["id"])
    assert key == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("uploaded", "called"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\ada\\notes.txt", "notes.txt"),
        ("a/b/", "b"),
        (".env", ".env"),
        ("no extension", "no extension"),
        ("50%25 off%2Fnow.txt", "50%25 off%2Fnow.txt"),
        ("tab\tand\x7f.txt", "tab_and_.txt"),
        ("x" * 5_000 + ".md", "x" * 252 + ".md"),
        ("naïve – 日本語 🙂.txt", "naïve – 日本語 🙂.txt"),
        ("semi;colon='1'.txt", "semi;colon='1'.txt"),
    ],
)
def test_names_are_made_fit_and_nothing_leads_out_of_a_folder(
    http: httpx.Client, folder: Any, uploaded: str, called: str
) -> None:
    disposition = b'filename="' + uploaded.encode() + b'"'
    file = send(http, folder, form(disposition, b"x"), FORM)
    assert file.status_code == 200, file.text
    assert file.json()["original_file_name"] == called
    assert file.json()["file_name"] == f"{folder.name}/{called}"


@pytest.mark.parametrize("uploaded", ["", "..", "/", "  ", "./."])
def test_what_has_no_name_is_asked_for_one(http: httpx.Client, folder: Any, uploaded: str) -> None:
    body = form(f'filename="{uploaded}"', b"x")
    refusal = send(http, folder, body, FORM)
    assert refusal.status_code == 422
    assert "has no name" in refusal.json()["detail"]
    named = http.post(
        f"/v1/folders/{folder.id}/upload",
        content=body,
        headers={"content-type": FORM},
        params={"name": "given.txt"},
    )
    assert named.json()["original_file_name"] == "given.txt"


def test_a_name_with_nul_is_stored_without(http: httpx.Client, folder: Any) -> None:
    # The parser of forms takes NUL for no part of a header, a client's parameter may hold it.
    body = form(b'filename="a\0b.txt"', b"x")
    assert send(http, folder, body, FORM).status_code in (200, 422)
    named = post(
        http,
        folder,
        ("a.txt", b"x", "text/plain"),
        name="nul\0\ud800.txt".encode("utf-8", "surrogatepass"),
    )
    assert named.status_code == 200
    assert "\0" not in named.json()["original_file_name"]


@pytest.mark.parametrize(
    ("spelled", "called"),
    [
        # As urllib3 before release 2 spells what is not ASCII: `requests` of many installations.
        ("filename*=utf-8''na%C3%AFve%20%E6%97%A5.txt", "naïve 日.txt"),
        ("filename*=iso-8859-1''na%EFve.txt", "naïve.txt"),
        ("filename=\"plain.txt\"; filename*=utf-8''other.txt", "plain.txt"),
        ("filename=bare.txt", "bare.txt"),
        ('FileName="odd.txt"', "odd.txt"),
    ],
)
def test_names_in_other_spellings_are_understood(
    http: httpx.Client, folder: Any, spelled: str, called: str
) -> None:
    file = send(http, folder, form(spelled, b"x"), FORM)
    assert file.status_code == 200, file.text
    assert file.json()["original_file_name"] == called


def test_a_given_name_may_have_folders_in_it(http: httpx.Client, folder: Any) -> None:
    file = post(http, folder, ("a.txt", b"x", "text/plain"), name="docs/../../guide//a.md").json()
    assert file["file_name"] == f"{folder.name}/docs/guide/a.md"


@pytest.mark.parametrize(
    "declared", [None, "", "application/octet-stream", "nonsense", "video/mp2t"]
)
def test_text_is_known_by_its_content_whatever_it_is_said_to_be(
    http: httpx.Client, folder: Any, declared: str | None
) -> None:
    headers = () if declared is None else (f"content-type: {declared}",)
    for name in ("main.ts", "Makefile", "what.ever"):
        file = send(http, folder, form(f'filename="{name}"', b"let x = 1;\n", *headers), FORM)
        assert file.status_code == 200, file.text
        assert file.json()["file_type"] == "text/plain"


def test_a_pdf_that_is_said_to_be_text_is_a_pdf(http: httpx.Client, folder: Any) -> None:
    file = post(http, folder, ("a.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "text/plain")).json()
    assert file["file_type"] == "application/pdf"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("a.txt", bytes(range(256)) * 40),
        ("a.zip", b"PK\x03\x04\x14\0\0\0" * 40),
        ("a.exe", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" * 100_000),
    ],
)
def test_what_no_text_can_be_made_of_is_refused_in_words(
    server: Product, http: httpx.Client, folder: Any, name: str, body: bytes
) -> None:
    refusal = post(http, folder, (name, body, "text/plain"))
    assert refusal.status_code == 415
    detail = refusal.json()["detail"]
    assert name in detail
    assert "PDF" in detail
    assert server.query("SELECT count(*) FROM files WHERE folder_id = %s", folder.id) == [(0,)]


def test_a_file_of_no_bytes_is_one(client: Letta, folder: Any) -> None:
    file = client.folders.files.upload(folder.id, file=("empty.txt", b"", "text/plain"))
    assert file.file_size == 0
    eventually(
        lambda: (
            client.folders.files.retrieve(file.id, folder_id=folder.id).processing_status
            in ("completed", "error")
        ),
        within_s=60,
        what="an empty file that is read",
    )


def test_a_taken_name_gets_a_number(client: Letta, folder: Any) -> None:
    names = [
        client.folders.files.upload(folder.id, file=("a.txt", said, "text/plain")).file_name
        for said in (b"1", b"2", b"3")
    ]
    assert names == [f"{folder.name}/{name}" for name in ("a.txt", "a_(1).txt", "a_(2).txt")]
    # Upper and lower case are different names, as in V1.
    other = client.folders.files.upload(folder.id, file=("A.TXT", b"4", "text/plain"))
    assert other.file_name == f"{folder.name}/A.TXT"


def test_a_taken_name_is_an_error_where_that_is_asked_for(client: Letta, folder: Any) -> None:
    file = ("a.txt", b"1", "text/plain")
    client.folders.files.upload(folder.id, file=file)
    with pytest.raises(ConflictError, match="already exists"):
        client.folders.files.upload(folder.id, file=file, duplicate_handling="error")
    assert len(client.folders.files.list(folder.id).items) == 1


def test_a_file_that_is_skipped_is_answered_with_the_one_that_is_there(
    http: httpx.Client, folder: Any
) -> None:
    first = post(http, folder, ("a.txt", b"1", "text/plain"))
    assert "x-upload-result" not in first.headers
    for body in (b"2", b"3" * 3 * MIB, b"\x89PNG\r\n\x1a\n\0"):
        again = post(http, folder, ("a.txt", body, "text/plain"), duplicate_handling="skip")
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["x-upload-result"] == "skipped"


def test_a_file_that_is_replaced_is_open_where_the_old_one_was(
    server: Product, client: Letta, folder: Any
) -> None:
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]})
    old = client.folders.files.upload(folder.id, file=("a.txt", b"1", "text/plain"))
    new = client.folders.files.upload(
        folder.id, file=("a.txt", b"2", "text/plain"), duplicate_handling="replace"
    )
    assert new.file_name == old.file_name
    assert new.id != old.id
    assert [one.id for one in client.folders.files.list(folder.id)] == [new.id]
    (held,) = client.agents.files.list(agent.id)
    assert (held.file_id, held.is_open) == (new.id, True)
    eventually(
        lambda: server.query("SELECT count(*) FROM files WHERE id = %s", old.id) == [(0,)],
        what="the purge of the file that was replaced",
    )


@pytest.mark.parametrize("handling", ["suffix", "error", "skip", "replace"])
def test_files_of_one_name_that_come_at_once_do_not_fail(
    http: httpx.Client, client: Letta, folder: Any, handling: str
) -> None:
    def one(number: int) -> httpx.Response:
        file = ("a.txt", f"{number}".encode(), "text/plain")
        return post(http, folder, file, duplicate_handling=handling)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(6)))
    codes = sorted(answer.status_code for answer in answers)
    names = sorted(str(one.file_name) for one in client.folders.files.list(folder.id))
    if handling == "error":
        assert codes == [200, *[409] * 5]
    else:
        assert codes == [200] * 6
    assert len(names) == (6 if handling == "suffix" else 1)
    assert len(set(names)) == len(names)


def test_an_upload_that_is_repeated_is_one_file(http: httpx.Client, folder: Any) -> None:
    def upload(body: bytes, retries: str) -> str:
        answer = http.post(
            f"/v1/folders/{folder.id}/upload",
            files={"file": ("a.txt", body, "text/plain")},
            headers={"x-stainless-retry-count": retries},
        )
        return str(answer.json()["id"])

    first = upload(b"x", "0")
    assert upload(b"x", "1") == first
    assert upload(b"y", "1") != first  # another content is another file
    assert upload(b"x", "0") != first  # who repeats nothing means it


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b"{}", "uploaded as a form"),
        ("multipart/form-data", form('filename="a.txt"', b"x"), "uploaded as a form"),
        (FORM, b"", "ends before"),
        (FORM, form('filename="a.txt"', b"x")[:-8], "ends before"),
        (FORM, b"nonsense", "cannot be read"),
        (FORM, b"--x--\r\n", ""),
        (
            FORM,
            b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--x--\r\n',
            "no file",
        ),
        (FORM, form('filename="a.txt"', b"x").replace(b'"file"', b'"other"'), "no file"),
        ("multipart/form-data; boundary=" + "b" * 300, b"x", ""),
    ],
)
def test_what_is_no_form_with_a_file_is_refused_in_words(
    server: Product, http: httpx.Client, folder: Any, kind: str, body: bytes, said: str
) -> None:
    refusal = send(http, folder, body, kind)
    assert refusal.status_code == 422, refusal.text
    assert said in refusal.json()["detail"]
    assert server.query("SELECT count(*) FROM files WHERE folder_id = %s", folder.id) == [(0,)]


def test_two_files_in_one_form_are_refused_and_neither_is_kept(
    client: Letta, http: httpx.Client, folder: Any
) -> None:
    two = [("a.txt", b"a" * 2 * MIB, "text/plain"), ("b.txt", b"b", "text/plain")]
    refusal = post(http, folder, *two)
    assert (refusal.status_code, "more than one" in refusal.json()["detail"]) == (422, True)
    assert client.folders.files.list(folder.id).items == []


def test_other_fields_of_the_form_are_passed_over(http: httpx.Client, folder: Any) -> None:
    answer = http.post(
        f"/v1/folders/{folder.id}/upload",
        files={"file": ("a.txt", b"x", "text/plain")},
        data={"purpose": "assistants", "note": "y" * 100_000},
    )
    assert answer.status_code == 200


def test_a_file_over_the_limit_is_413_in_words_and_nothing_of_it_stays(
    server: Product, http: httpx.Client, folder: Any
) -> None:
    def pieces() -> Iterator[bytes]:
        yield form('filename="a.txt"', b"")[:-9]
        for _ in range(52):
            yield b"x" * MIB

    large = ("a.txt", b"x" * 52 * MIB, "text/plain")
    path = f"/v1/folders/{folder.id}/upload"
    # Said ahead, and found out while it comes.
    for refusal in (
        post(http, folder, large),
        http.post(path, content=pieces(), headers={"content-type": FORM}),
    ):
        assert refusal.status_code == 413
        assert "50 MiB (O_UPLOAD_LIMIT_MB)" in refusal.json()["detail"]
    nothing_is_left(server, folder)


def nothing_is_left(server: Product, folder: Any) -> None:
    """Wait until no row of any file of the folder is there."""
    eventually(
        lambda: (
            server.query("SELECT count(*) FROM files WHERE folder_id = %s", folder.id) == [(0,)]
        ),
        within_s=60,
        what="the purge of what was uploaded",
    )


def test_of_a_client_that_hangs_up_in_the_middle_nothing_is_left(
    server: Product, client: Letta, folder: Any
) -> None:
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port)) as hanging:
        head = (
            f"POST /v1/folders/{folder.id}/upload HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: {FORM}\r\ncontent-length: {20 * MIB}\r\n\r\n"
        )
        hanging.sendall(head.encode() + form('filename="a.txt"', b"x" * 3 * MIB)[:-9])
        eventually(
            lambda: (
                server.query("SELECT count(*) FROM files WHERE folder_id = %s", folder.id) == [(1,)]
            ),
            what="the first piece",
        )
        assert client.folders.files.list(folder.id).items == []
    nothing_is_left(server, folder)
    assert server.query(
        "SELECT count(*) FROM file_uploads WHERE file_id NOT IN (SELECT id FROM files)"
    ) == [(0,)]


def test_a_folder_that_is_deleted_while_a_file_comes_takes_it_along(
    server: Product, client: Letta, http: httpx.Client, folder: Any
) -> None:
    def pieces() -> Iterator[bytes]:
        yield form('filename="a.txt"', b"x" * 2 * MIB)[:-9]
        eventually(
            lambda: (
                server.query("SELECT count(*) FROM files WHERE folder_id = %s", folder.id) == [(1,)]
            ),
            what="the first piece",
        )
        client.folders.delete(folder.id)
        yield b"x" * 2 * MIB + b"\r\n--x--\r\n"

    headers = {"content-type": FORM}
    refusal = http.post(f"/v1/folders/{folder.id}/upload", content=pieces(), headers=headers)
    assert refusal.status_code == 404, refusal.text
    nothing_is_left(server, folder)


def test_a_deleted_file_is_gone_and_its_name_is_free(client: Letta, folder: Any) -> None:
    file = client.folders.files.upload(folder.id, file=("a.txt", b"1", "text/plain"))
    other = client.folders.files.upload(folder.id, file=("b.txt", b"1", "text/plain"))
    client.folders.files.delete(file.id, folder_id=folder.id)
    with pytest.raises(APIStatusError) as refusal:
        client.folders.files.delete(file.id, folder_id=folder.id)
    assert refusal.value.status_code == 404
    # A client that pages by it goes on.
    assert [one.id for one in client.folders.files.list(folder.id, after=file.id, order="asc")] == [
        other.id
    ]
    again = client.folders.files.upload(folder.id, file=("a.txt", b"2", "text/plain"))
    assert again.file_name == f"{folder.name}/a.txt"


def test_a_file_of_another_folder_is_not_in_this_one(client: Letta, folder: Any) -> None:
    other = client.folders.create(name=new_id("folder"))
    file = client.folders.files.upload(other.id, file=("a.txt", b"1", "text/plain"))
    for ask in (client.folders.files.retrieve, client.folders.files.delete):
        with pytest.raises(APIStatusError) as refusal:
            ask(file.id, folder_id=folder.id)
        assert refusal.value.status_code == 404
