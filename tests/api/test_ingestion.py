"""Uploaded files become text and passages, or say why not; through the official client."""

import asyncio
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from temporalio.client import Client, WorkflowExecutionStatus

from o.ids import new_id
from tests.files import made
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import Product, eventually

_SENTENCES = " ".join(f"Sentence {n} of the handbook says something." for n in range(200))


@pytest.fixture
def folder(client: Letta) -> Any:
    return client.folders.create(name=new_id("folder"))


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def uploaded(client: Letta, folder: Any, name: str, data: bytes, media_type: str = "") -> Any:
    """A file, as it stands once it is read."""
    kind = media_type or "application/octet-stream"
    file = client.folders.files.upload(folder.id, file=(name, data, kind))
    return settled(client, folder, file.id)


def settled(client: Letta, folder: Any, file_id: str) -> Any:
    def look() -> Any:
        file = client.folders.files.retrieve(file_id, folder_id=folder.id)
        return file if file.processing_status in {"completed", "error"} else None

    return eventually(look, within_s=60, what="the end of the reading")


def passages(server: Product, file_id: str) -> list[tuple[int, str]]:
    return [
        (ordinal, text)
        for ordinal, text in server.query(
            "SELECT ordinal, text FROM passages WHERE file_id = %s ORDER BY ordinal", file_id
        )
    ]


def content(server: Product, file_id: str) -> str:
    ((text,),) = server.query("SELECT text FROM file_contents WHERE file_id = %s", file_id)
    return str(text)


def test_a_file_is_read_and_cut_into_passages(client: Letta, server: Product, folder: Any) -> None:
    file = uploaded(client, folder, "handbook.txt", _SENTENCES.encode())
    found = passages(server, file.id)
    assert file.processing_status == "completed"
    assert file.error_message is None
    assert file.total_chunks == file.chunks_embedded == len(found) > 3
    assert [ordinal for ordinal, _ in found] == list(range(len(found)))
    assert " ".join(text for _, text in found) == content(server, file.id) == _SENTENCES
    assert server.query("SELECT 1 FROM file_uploads WHERE file_id = %s", file.id) == []


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.md", b"# Title\r\n\r\nwords", "# Title\n\nwords"),
        ("a.pdf", made.pdf(["Hello from a PDF."]), "## Page 1\n\nHello from a PDF."),
        ("a.docx", made.docx("# Title", "From Word."), "# Title\n\nFrom Word."),
        ("a.html", b"<h1>Title</h1><p>A page.</p>", "# Title\n\nA page.\n"),
        ("a.csv", b"a,b\n1,2\n", "a,b\n1,2\n"),
        ("a.json", b'{"a": 1}', '{"a": 1}'),
        ("a.py", b"def f():\n    return 1\n", "def f():\n    return 1\n"),
        ("a.txt", "Grüße".encode("utf-16"), "Grüße"),
        ("nul.txt", b"before\0after and some more words to be a text", None),
    ],
)
def test_files_of_every_kind_are_read(
    client: Letta, server: Product, folder: Any, name: str, data: bytes, text: str | None
) -> None:
    file = uploaded(client, folder, name, data)
    assert file.processing_status == "completed", file.error_message
    if text is not None:
        assert content(server, file.id) == text


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("scan.pdf", made.scanned_pdf(2), "OCR"),
        ("locked.pdf", made.pdf(["x"], password="p"), "encrypted"),
        ("bomb.docx", made.docx_bomb(), "unpack"),
        ("broken.docx", b"PK\x03\x04word/ and nothing more", "damaged"),
        ("late.txt", b"words " * 3_000 + bytes(range(256)) * 400, "no text"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_others_are_read(
    client: Letta, server: Product, folder: Any, name: str, data: bytes, words: str
) -> None:
    bad = uploaded(client, folder, name, data)
    assert bad.processing_status == "error"
    assert words in bad.error_message
    assert not bad.total_chunks
    assert passages(server, bad.id) == []
    assert server.query("SELECT 1 FROM file_uploads WHERE file_id = %s", bad.id) == []
    assert uploaded(client, folder, "good.txt", b"good").processing_status == "completed"
    status = asyncio.run(_status_of(server, f"ingest-{bad.id}"))
    assert status is WorkflowExecutionStatus.COMPLETED


async def _status_of(server: Product, execution: str) -> WorkflowExecutionStatus | None:
    client = await Client.connect(server.state["temporal_address"])
    return (await client.get_workflow_handle(execution).describe()).status


def test_an_empty_file_is_complete(client: Letta, server: Product, folder: Any) -> None:
    file = uploaded(client, folder, "empty.txt", b" \n")
    assert (file.processing_status, file.total_chunks) == ("completed", 0)


def test_passages_are_of_the_size_that_the_folder_asks_for(
    client: Letta, server: Product, http: httpx.Client
) -> None:
    config = {
        "embedding_endpoint_type": "openai",
        "embedding_model": "letta-free",
        "embedding_dim": 8,
        "embedding_chunk_size": 60,
    }
    body = {"name": new_id("folder"), "embedding_config": config}
    folder = client.folders.retrieve(http.post("/folders/", json=body).json()["id"])
    file = uploaded(client, folder, "handbook.txt", _SENTENCES.encode())
    assert file.total_chunks > 30


def test_a_text_that_is_there_without_an_upload_is_cut_and_stays_as_it_is(
    client: Letta, server: Product, folder: Any
) -> None:
    """So it comes from elsewhere; and nobody has said that it is here: the sweeper finds it."""
    file = uploaded(client, folder, "moved.pdf", made.pdf(["x"]))
    text = "# A title\r\n\r\nas it came\n"
    server.query("UPDATE file_contents SET text = %s WHERE file_id = %s", text, file.id)
    server.query(
        "UPDATE files SET processing_status = 'pending', updated_at = now() - interval '1 minute'"
        " WHERE id = %s",
        file.id,
    )
    eventually(
        lambda: passages(server, file.id) == [(0, "# A title\n\nas it came")], what="other passages"
    )
    assert settled(client, folder, file.id).total_chunks == 1
    assert content(server, file.id) == text


def test_a_file_that_is_deleted_while_it_is_read_leaves_nothing(
    client: Letta, server: Product, folder: Any
) -> None:
    slow = made.docx(*[f"paragraph {n} of a long document" for n in range(8_000)])
    file = client.folders.files.upload(folder.id, file=("slow.docx", slow, ""))
    eventually(
        lambda: server.query(
            "SELECT 1 FROM files WHERE id = %s AND processing_status = 'parsing'", file.id
        ),
        what="the beginning",
    )
    client.folders.files.delete(file.id, folder_id=folder.id)
    with pytest.raises(NotFoundError):
        client.folders.files.retrieve(file.id, folder_id=folder.id)
    eventually(
        lambda: (
            asyncio.run(_status_of(server, f"ingest-{file.id}"))
            is WorkflowExecutionStatus.COMPLETED
        ),
        within_s=60,
        what="the end",
    )
    assert passages(server, file.id) == []


def _vendor_folder(client: Letta, http: httpx.Client, vendor: EmbeddingVendor) -> Any:
    name = new_id("vendor")
    body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    assert http.post("/providers/", json=body).status_code == 200
    return client.folders.create(name=new_id("folder"), embedding=f"{name}/embed-1")


def test_progress_is_seen_until_every_passage_has_its_vector(
    client: Letta, server: Product, http: httpx.Client
) -> None:
    with embedding_vendor() as vendor:
        folder = _vendor_folder(client, http, vendor)
        vendor.gate.clear()
        file = client.folders.files.upload(
            folder.id, file=("handbook.txt", _SENTENCES.encode(), "text/plain")
        )

        def status() -> Any:
            return client.folders.files.retrieve(file.id, folder_id=folder.id)

        waiting = eventually(
            lambda: one if (one := status()).processing_status == "embedding" else None,
            what="passages that wait",
        )
        assert waiting.total_chunks > 3
        assert waiting.chunks_embedded < waiting.total_chunks
        vendor.gate.set()
        done = settled(client, folder, file.id)
        assert done.chunks_embedded == done.total_chunks == waiting.total_chunks
        texts = [text for texts in vendor.asked for text in texts if "Sentence" in text]
        assert len(texts) == done.total_chunks


def test_a_file_that_its_worker_died_of_again_and_again_is_given_up(
    client: Letta, server: Product, folder: Any
) -> None:
    good = uploaded(client, folder, "good.txt", b"good")
    server.query(
        "INSERT INTO files (id, organization_id, folder_id, file_name, original_file_name, "
        "processing_status, attempts, created_at, updated_at) "
        "SELECT %s, organization_id, folder_id, 'bad.txt', 'bad.txt', 'parsing', 8, now(), "
        "now() - interval '1 hour' FROM files WHERE id = %s",
        bad := new_id("file"),
        good.id,
    )
    file = settled(client, folder, bad)
    assert file.processing_status == "error"
    assert file.error_message == "The process that read it died 8 times."
