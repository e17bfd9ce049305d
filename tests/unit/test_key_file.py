"""The file of encryption keys: a new key goes in front, and nobody ever reads half of it."""

import ast
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from o.errors import Conflict, Unavailable
from o.key_file import alone_with
from o.secrets import FILE, Keyring, SecretUnreadable
from tests.support.product import REPOSITORY

OF = "provider-1/api_key"


def key_name(stored: str) -> str:
    return stored.split(":")[1]


def test_a_new_key_encrypts_at_once_in_every_process_and_old_ones_decrypt(tmp_path: Path) -> None:
    running = Keyring(tmp_path)
    old = running.encrypt("sk", of=OF)
    new = Keyring(tmp_path).add_key()
    assert new != key_name(old)
    assert key_name(running.encrypt("sk", of=OF)) == new, "the file is read anew"
    assert running.decrypt(old, of=OF) == "sk"
    assert Keyring(tmp_path).names() == [new, key_name(old)]
    file = tmp_path / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_first_key_of_all_is_made_where_there_is_none(tmp_path: Path) -> None:
    made = Keyring(tmp_path / "new").add_key()
    assert Keyring(tmp_path / "new").names() == [made]


def test_a_key_is_forgotten_and_the_first_one_never_is(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    old = keyring.encrypt("sk", of=OF)
    new = keyring.add_key()
    keyring.forget({new, key_name(old)})
    assert keyring.names() == [new]
    with pytest.raises(SecretUnreadable, match="is gone"):
        keyring.decrypt(old, of=OF)


def test_keys_of_the_setting_are_changed_there(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path, SecretStr("a long text that somebody has thought of"))
    for change in (keyring.add_key, lambda: keyring.forget({"x"})):
        with pytest.raises(Conflict, match="O_ENCRYPTION_KEY"):
            change()
    assert not list(tmp_path.iterdir())


def test_one_process_changes_the_file_at_a_time(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.encrypt("sk", of=OF)
    with alone_with(tmp_path / FILE), pytest.raises(Conflict, match="another process"):
        keyring.add_key()
    assert len(keyring.names()) == 1
    keyring.add_key()


def _add(data_dir: Path) -> None:
    while True:
        try:
            Keyring(data_dir).add_key()
        except Conflict:
            continue
        return


def test_processes_that_rotate_together_lose_no_key_and_readers_see_whole_files(
    tmp_path: Path,
) -> None:
    keyring = Keyring(tmp_path)
    old = keyring.encrypt("sk", of=OF)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add, args=(tmp_path,)) for _ in range(5)]
    over, seen = threading.Event(), set()

    def read() -> None:
        while not over.is_set():
            reader = Keyring(tmp_path)
            assert reader.decrypt(old, of=OF) == "sk"
            seen.add(len(reader.names()))

    reading = threading.Thread(target=read)
    reading.start()
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    over.set()
    reading.join(60)
    assert len(keyring.names()) == 6
    assert seen <= set(range(1, 7))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_replaced_stays_as_it_is_for_others(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.encrypt("sk", of=OF)
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="cannot be written"):
        keyring.add_key()
    tmp_path.chmod(0o700)
    assert len(keyring.names()) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_file_that_is_broken_is_told_or_gets_a_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    if content:
        with pytest.raises(Unavailable, match="cannot be read"):
            Keyring(tmp_path).add_key()
        assert (tmp_path / FILE).read_bytes() == content
    else:
        assert Keyring(tmp_path).add_key() == Keyring(tmp_path).names()[0]


# Who encrypts, and what becomes of it: in the database (`o.storage.secret_columns`), or soon over.
ENCRYPTS = {
    "api/providers.py": "providers.api_key, providers.access_key",
    "o/call_tokens.py": "good for half a minute",
    "o/mcp/targets.py": "mcp_servers.secrets",
    "o/storage/secret_columns.py": "all of them",
    "o/storage/tools/variables.py": "tool_variables.value",
    "o/storage/worker_requests.py": "worker_requests.request and .result",
    "server/letta_import/kinds/sealing.py": "those of providers, MCP servers and variables",
}


def test_nothing_encrypts_for_the_database_that_rotation_does_not_know() -> None:
    """Whoever adds a place adds its column to `SEALED`; what is stored is looked at elsewhere."""
    found = set()
    for folder in ("api", "activities", "o", "sandbox", "server"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "encrypt"
                    and any(keyword.arg == "of" for keyword in node.keywords)
                ):
                    found.add(str(file.relative_to(REPOSITORY)))
    assert found == set(ENCRYPTS)
