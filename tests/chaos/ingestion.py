"""A file in a product whose processes die, and what must hold of its passages."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from o.ids import new_id
from tests.chaos.killing import KillableProduct
from tests.support.product import eventually

_LINES = 12_000
_TEXT = "".join(f"line {n} of a file that is read\n" for n in range(_LINES))


@contextmanager
def uploading(product: KillableProduct) -> Iterator[Callable[[], str]]:
    """A client that uploads a file and does not give up; in the end, the file's id."""
    found: list[str] = []

    def upload() -> None:
        client: Any = product.client(max_retries=12)
        folder = client.folders.create(name=new_id("folder"))
        file = client.folders.files.upload(folder.id, file=("a.py", _TEXT.encode(), "text/plain"))
        found.append(file.id)

    thread = threading.Thread(target=upload)
    thread.start()

    def file_id() -> str:
        thread.join(60)
        return found[0]

    yield file_id
    thread.join(60)


def await_passages(product: KillableProduct, file_id: str) -> None:
    """Wait until the file is read; each part of it is there once, and its upload is gone."""

    def status() -> bool:
        rows = product.query("SELECT processing_status FROM files WHERE id = %s", file_id)
        return rows == [("completed",)]

    eventually(status, within_s=60, what="the end of the reading")
    passages = product.query(
        "SELECT ordinal, text FROM passages WHERE file_id = %s ORDER BY ordinal", file_id
    )
    assert [ordinal for ordinal, _ in passages] == list(range(len(passages)))
    assert "".join(text for _, text in passages) == _TEXT
    counts = "SELECT f.total_chunks, a.passage_count, t.text FROM files f JOIN folders d ON d.id ="
    counts += " f.folder_id JOIN archives a ON a.id = d.archive_id JOIN file_contents t ON"
    counts += " t.file_id = f.id WHERE f.id = %s"
    assert product.query(counts, file_id) == [(len(passages), len(passages), _TEXT)]
    assert product.query("SELECT 1 FROM file_uploads WHERE file_id = %s", file_id) == []
