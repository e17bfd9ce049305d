"""Commands where something else lies in the place of what they read, or nothing at all."""

import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from o.errors import Unavailable
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.api_client.address import address_of_api
from server.doctor import examine
from server.on_database import target_url
from server.unknown_settings import unknown_settings, warn_of_unknown
from server.up import state
from tests.support.product import REPOSITORY, Product
from tests.up.test_commands import NO_URL, o, the_line


def _zeros(place: Path) -> None:
    place.symlink_to("/dev/zero")


@pytest.mark.parametrize("command", ["up", "api", "worker", "doctor"])
def test_a_pipe_in_the_place_of_a_dotenv_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / ".env")
    given = {"O_PORT": "0", "DATABASE_URL": NO_URL, "PYTHONPATH": str(REPOSITORY)}
    done = o(command, O_SANDBOX_BACKEND="unsafe-subprocess", **given)
    the_line(done)
    assert "DATABASE_URL is not the address of a" in done.stdout + done.stderr


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, _zeros])
def test_a_dotenv_that_is_no_file_sets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / ".env")
    assert unknown_settings({}) == []


@pytest.mark.parametrize(
    "before", ["\n" * 40_000, " " * 40_000, "O_X_{}=1\n" * 40_000, "O" * 40_000]
)
def test_a_dotenv_of_any_size_is_looked_through_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = before.replace("{}", "%d") % tuple(range(before.count("{}")))
    (tmp_path / ".env").write_text(f"{text}\n  export O_API_TOKN = hush\n")
    began = time.process_time()
    found = unknown_settings({})
    assert time.process_time() - began < 2
    assert [(one.variable, one.nearest) for one in found[:1]] == [("O_API_TOKN", "O_API_TOKEN")]


@pytest.mark.parametrize(
    ("variable", "instead"),
    [
        ("LETTA_SERVER_PASSWORD", "O_API_TOKEN"),
        ("LETTA_SERVER_SECURE", "O_API_TOKEN"),
        ("letta_pg_uri", "DATABASE_URL"),
        ("LETTA_PG_HOST", "DATABASE_URL"),
        ("LETTA_ENCRYPTION_KEY", "O_LETTA_ENCRYPTION_KEY for `o import letta`"),
    ],
)
def test_a_setting_of_v1_that_is_not_read_is_told_of_with_ours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    instead: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = unknown_settings({variable: "hush"})
    assert (found.variable, found.instead) == (variable, instead)
    assert unknown_settings({"LETTA_DEFAULT_LLM_HANDLE": "openai/gpt-4o"}) == []
    warn_of_unknown({variable: "hush"})
    (line,) = caplog.records
    assert vars(line)["instead"] == instead
    assert "hush" not in str(vars(line))


def test_the_doctor_says_what_to_set_in_place_of_v1s_password(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0, sandbox_backend="unsafe-subprocess")
    unknown = unknown_settings({"LETTA_SERVER_PASSWORD": "hush"})
    found = examine(settings, ProviderSettings(), unknown)
    (told,) = (one for one in found if "LETTA_SERVER_PASSWORD" in one.what)
    assert (told.level, told.what_to_do) == ("warn", "set O_API_TOKEN")


def _without_a_place(tmp_path: Path, *arguments: str, **given: str) -> str:
    """What a command says whose working directory is deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    # As the script `o` begins: with -P, this directory is not where modules are looked for.
    main = "import sys; sys.argv[0] = 'o'; from server.cli import main; main()"
    command = shlex.join([sys.executable, "-P", "-c", main, *arguments])
    kept = {name: text for name, text in os.environ.items() if not name.startswith("O_")}
    done = subprocess.run(
        ["sh", "-c", f'cd "$1" && rmdir "$1" && exec {command}', "sh", gone],
        env=kept | {"PYTHONPATH": str(REPOSITORY)} | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return the_line(done)


@pytest.mark.parametrize(
    "command", ["up", "api", "worker", "doctor", "key list", "status", "backup x"]
)
def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path, command: str) -> None:
    given = {"DATABASE_URL": NO_URL, "O_PORT": "9"}
    assert _without_a_place(tmp_path, *command.split(), **given) == (
        "o: the working directory is gone: go to another one, or set O_DATA_DIR to a whole path"
    )
    elsewhere = _without_a_place(tmp_path, *command.split(), O_DATA_DIR=str(tmp_path), **given)
    assert "is gone" not in elsewhere


def _holds(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


_OTHER = "is not what this release's `o up` writes"
STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (Path.touch, _OTHER),
    "a list": (_holds(b"[]"), _OTHER),
    "a number": (_holds(b"5"), _OTHER),
    "an empty object": (_holds(b"{}"), _OTHER),
    "another release's": (_holds(b'{"pid": 1, "api": "http://x"}'), _OTHER),
    "no text": (_holds(b"\xff\xfe"), _OTHER),
    "deep": (_holds(b"[" * 100_000), _OTHER),
    "of other kinds": (
        _holds(b'{"api":1,"temporal_address":2,"temporal_ui":3,"database_url":4,"processes":5}'),
        _OTHER,
    ),
    "a folder": (Path.mkdir, "cannot be read: Is a directory"),
    "a pipe": (os.mkfifo, "cannot be read: it is no file"),
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory on which it looks as if `o up` ran."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_up_json_is_named_wherever_it_is_read(data_dir: Path, name: str) -> None:
    make, said = STRANGE[name]
    make(data_dir / "up.json")
    settings = Settings(data_dir=data_dir, sandbox_backend="unsafe-subprocess")
    for read in (address_of_api, target_url):
        with pytest.raises(Unavailable, match=f"up.json {said}"):
            read(settings)
    found = examine(settings, ProviderSettings(_env_file=None))
    (bad,) = [one for one in found if one.level == "bad"]
    assert f"up.json {said}" in bad.what


def test_an_up_json_that_is_not_ours_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "up.json").touch(mode=0)
    is_root = os.geteuid() == 0  # who may read everything
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(Unavailable, match=r"up.json cannot be read: Permission denied"):
            target_url(Settings(data_dir=tmp_path))
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize(
    "command", ["status", "ingest folder .", "export agent --all --to out", "key list", "backup x"]
)
def test_commands_say_in_a_line_that_up_json_is_none(data_dir: Path, command: str) -> None:
    (data_dir / "up.json").write_text("[]")
    line = the_line(o(*command.split(), O_DATA_DIR=str(data_dir)))
    assert line.startswith(f"o: {data_dir}/up.json is not what this release's `o up` writes")


def test_what_this_release_writes_is_read(data_dir: Path) -> None:
    noted = state.State("http://127.0.0.1:9", "127.0.0.1:9", None, "postgresql:///o", {"api": None})
    state.write(data_dir, noted)
    assert state.read(data_dir) == state.running(data_dir) == noted


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_of_the_api_that_is_taken_is_one_line(
    server: Product, tmp_path: Path, processes: str
) -> None:
    given = {"DATABASE_URL": server.state["database_url"], "O_API_PROCESSES": processes}
    given |= {"TEMPORAL_ADDRESS": server.state["temporal_address"], "O_DATA_DIR": str(tmp_path)}
    line = the_line(o("api", O_PORT=str(server.port), **given))
    where = f"127.0.0.1, port {server.port} (O_HOST, O_PORT)"
    assert line == f"o: cannot listen on {where}: Address already in use"
