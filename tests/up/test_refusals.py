"""What `o up` refuses, and how it says so."""

import socket
from pathlib import Path

import pytest

from o.errors import Conflict
from server.up import clash
from tests.up.conftest import NewProduct


def test_a_second_supervisor_on_the_same_directory_is_refused(product: NewProduct) -> None:
    up = product().start()
    second = product()
    said, _ = second.begin().communicate(timeout=20)
    assert second.process.returncode == 1
    assert f"(process {up.process.pid})" in said
    assert up.database_answers()


def test_a_taken_port_is_refused(product: NewProduct) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = product(port=taken.getsockname()[1])
        said, _ = up.begin().communicate(timeout=20)
    assert up.process.returncode == 1
    assert "set O_PORT" in said
    assert "Traceback" not in said


def test_a_temporal_server_that_is_not_there_is_named(product: NewProduct) -> None:
    up = product(temporal_address="127.0.0.1:9")
    up.begin()
    said, _ = up.process.communicate(timeout=30)
    assert up.process.returncode == 1
    assert "127.0.0.1:9" in said
    assert not up.left()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("top_level.txt", "other\napi\n"),
        ("RECORD", "other/api/x.py,,\napi/__init__.py,sha256=47DEQpj8,0\n"),
        ("RECORD", "api.py,sha256=47DEQpj8,0\nother_api-1.0.dist-info/RECORD,,\n"),
    ],
    ids=["named", "package", "module"],
)
def test_another_owner_of_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    info = tmp_path / "other_api-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-api\nVersion: 1.0\n")
    (info / file).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Conflict, match="`api` belongs to other-api"):
        clash.refuse_name_clash()


def test_a_distribution_that_owns_no_name_of_ours_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "RECORD").write_text("other/api.py,,\napis/server.py,,\no_other.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    clash.refuse_name_clash()
