"""What `o doctor` finds."""

import contextlib
import shutil
import socket
import sqlite3
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.doctor import Finding, examine
from tests.up.conftest import NewProduct

NO_PROVIDER = ProviderSettings(_env_file=None)


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """To try one takes seconds, and what comes of it is not what most of these ask."""
    monkeypatch.setenv("O_SANDBOX_BACKEND", "unsafe-subprocess")


def _bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "bad"]


def test_a_bare_machine_is_fit(tmp_path: Path) -> None:
    findings = examine(Settings(data_dir=tmp_path / "new", port=0), NO_PROVIDER)
    assert not _bad(findings)
    assert any("PostgreSQL" in finding.what for finding in findings)
    assert any("temporal" in finding.what for finding in findings)
    assert not (tmp_path / "new").exists()


def test_it_tries_what_tools_would_run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"unix://{tmp_path}/no-engine.sock"

    def look(backend: str) -> Finding:
        monkeypatch.setenv("O_SANDBOX_BACKEND", backend)
        found = examine(Settings(data_dir=tmp_path, port=0, docker_host=nowhere), NO_PROVIDER)
        return next(one for one in found if "custom tools" in one.what)

    chosen = look("auto")
    assert (chosen.level, "in bubblewrap (namespaces; memory" in chosen.what) == ("ok", True)
    assert "not in docker: no Docker engine answers" in chosen.what_to_do
    none = look("docker")
    assert (none.level, none.what) == ("warn", "custom tools do not run: no sandbox")
    assert "docker: no Docker engine answers" in none.what_to_do
    unsafe = look("unsafe-subprocess")
    assert (unsafe.level, "WITHOUT a sandbox" in unsafe.what) == ("warn", True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/o", "/proc/o/data", "/dev/null/o", "/etc/hostname"])
def test_a_data_directory_that_cannot_be_made_is_named(place: str) -> None:
    (found,) = _bad(examine(Settings(data_dir=Path(place), port=0), NO_PROVIDER))
    assert "cannot be written" in found.what
    assert "O_DATA_DIR" in found.what_to_do


def test_looking_at_the_data_directory_leaves_nothing_behind(tmp_path: Path) -> None:
    examine(Settings(data_dir=tmp_path / "a" / "b", port=0), NO_PROVIDER)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_has_left_of_temporals_file_is_looked_at_and_stays_as_it_is(
    tmp_path: Path,
) -> None:
    home = tmp_path / "data"
    home.mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "alive.db")) as alive:
        alive.execute("PRAGMA journal_mode = wal")
        alive.execute("CREATE TABLE namespaces (name)")
        alive.execute("INSERT INTO namespaces VALUES ('temporal-system')")
        alive.commit()
        for ending in ("", "-wal"):
            shutil.copy(tmp_path / f"alive.db{ending}", home / f"temporal.db{ending}")
    files = [home / "temporal.db", home / "temporal.db-wal"]
    before = [file.read_bytes() for file in files]
    findings = examine(Settings(data_dir=home, port=0), NO_PROVIDER)
    assert Finding("ok", "Temporal's file can be used") in findings
    assert [file.read_bytes() for file in files] == before


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (found,) = _bad(examine(Settings(data_dir=tmp_path, port=port), NO_PROVIDER))
    assert str(port) in found.what
    assert "O_PORT" in found.what_to_do


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = SecretStr("postgresql://o:hush@127.0.0.1:9/o")
    settings = Settings(data_dir=tmp_path, port=0, database_url=url)
    (found,) = _bad(examine(settings, NO_PROVIDER))
    assert "DATABASE_URL" in found.what
    assert "hush" not in str(found)


def test_servers_of_a_running_product_are_found(product: NewProduct) -> None:
    up = product().start()
    url = SecretStr(up.state["database_url"])
    settings = Settings(
        data_dir=up.data_dir,
        port=int(up.state["api"].rpartition(":")[2]),
        database_url=url,
        temporal_address=up.state["temporal_address"],
    )
    findings = examine(settings, NO_PROVIDER)
    assert not _bad(findings)
    said = " / ".join(finding.what for finding in findings)
    assert f"process {up.process.pid}" in said
    assert f"`o up` serves at {up.state['api']}" in said
    assert "PostgreSQL 18 answers" in said
    assert "Temporal answers" in said
    assert "schema is not up to date" in said  # a stub migrated it


def test_a_product_that_is_up_and_does_not_serve_is_named(product: NewProduct) -> None:
    up = product().start()
    api = psutil.Process(up.pid("api"))
    api.suspend()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("server.doctor._TIMEOUT_S", 0.5)
            findings = examine(Settings(data_dir=up.data_dir, port=0), NO_PROVIDER)
    finally:
        api.resume()
    (found,) = _bad(findings)
    assert "does not serve" in found.what
    assert "logs" in found.what_to_do


def test_a_file_that_temporal_cannot_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_bytes(b"")
    findings = examine(Settings(data_dir=tmp_path, port=0), NO_PROVIDER)
    assert not _bad(findings), "`o up` deals with it"
    (found,) = [one for one in findings if "Temporal's file" in one.what]
    assert found.level == "warn"
    assert "it is empty" in found.what


@pytest.mark.parametrize(
    ("default", "level", "words"),
    [
        ("auto", "ok", "by local/multilingual-e5-small"),
        ("openai/text-embedding-3-small", "ok", "by openai/text-embedding-3-small"),
        ("none", "warn", "by words alone"),
    ],
)
def test_it_says_what_passages_are_embedded_by(
    tmp_path: Path, default: str, level: str, words: str
) -> None:
    providers = ProviderSettings(_env_file=None, default_embedding=default)
    found = examine(Settings(data_dir=tmp_path, port=0), providers)
    (said,) = [one for one in found if words in one.what]
    assert said.level == level
