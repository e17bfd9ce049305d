"""Secrets at rest: encrypted under a named key, which rotates and which processes make once."""

import errno
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from o.errors import Unavailable
from o.secrets import FILE, Keyring, SecretUnreadable
from o.settings.all import Settings

GIVEN = SecretStr("a long text that somebody has thought of")
# Made by the first release that encrypts: every later one has to read it.
GOLDEN = "o1:c79a3ff9e3cd74ec:OVncIP4DWZHXCUV48JAehXXrFXocbsQJYQ--gpPMxJOkXEpqB6jpi0GwTZS1"
OF = "provider-12345678-1234-4234-8234-123456789000/api_key"


def test_what_the_first_release_stored_is_read(tmp_path: Path) -> None:
    assert Keyring(tmp_path, GIVEN).decrypt(GOLDEN, of=OF) == "sk-golden-Grüße"


def test_a_secret_comes_back_and_is_never_stored_alike(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    one, two = (keyring.encrypt("sk-1234", of=OF) for _ in range(2))
    assert one != two
    assert "sk-1234" not in one
    assert Keyring(tmp_path).decrypt(one, of=OF) == "sk-1234"


def test_a_secret_belongs_to_its_row_and_column(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    stored = keyring.encrypt("sk", of="provider-1/api_key")
    for of in ("provider-2/api_key", "provider-1/access_key", ""):
        with pytest.raises(SecretUnreadable, match="was changed, or belongs elsewhere"):
            keyring.decrypt(stored, of=of)


@pytest.mark.parametrize("cut", [0, 3, 20, 30, -1])
def test_a_secret_that_was_damaged_is_told_and_not_shown(tmp_path: Path, cut: int) -> None:
    keyring = Keyring(tmp_path)
    stored = keyring.encrypt("sk-1234", of=OF)
    with pytest.raises(SecretUnreadable) as refused:
        keyring.decrypt(stored[:cut], of=OF)
    assert "sk-1234" not in str(refused.value)


def test_the_file_is_for_its_owner_only_and_kept(tmp_path: Path) -> None:
    data_dir = tmp_path / "not" / "there" / "yet"
    stored = Keyring(data_dir).encrypt("sk", of=OF)
    file = data_dir / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    Keyring(data_dir).encrypt("another", of=OF)
    assert file.read_bytes() == before
    assert Keyring(data_dir).decrypt(stored, of=OF) == "sk"
    assert [path.name for path in data_dir.iterdir()] == [FILE]


def _encrypt(data_dir: Path, barrier: object, found: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    found.put(Keyring(data_dir).encrypt("sk", of=OF))  # type: ignore[attr-defined]


def test_processes_that_start_together_make_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(6), context.Queue()
    processes = [
        context.Process(target=_encrypt, args=(tmp_path, barrier, found)) for _ in range(6)
    ]
    for process in processes:
        process.start()
    stored = [found.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(10)
    assert len({secret.split(":")[1] for secret in stored}) == 1
    assert all(Keyring(tmp_path).decrypt(secret, of=OF) == "sk" for secret in stored)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_process_that_started_before_the_file_was_made_reads_it(tmp_path: Path) -> None:
    early = Keyring(tmp_path)
    stored = Keyring(tmp_path).encrypt("sk", of=OF)
    assert early.decrypt(stored, of=OF) == "sk"


def test_keys_rotate(tmp_path: Path) -> None:
    of_file = Keyring(tmp_path).encrypt("one", of=OF)
    old = Keyring(tmp_path, SecretStr("the old key of this server")).encrypt("two", of=OF)
    both = Keyring(tmp_path, SecretStr("the new key of this server, the old key of this server"))
    assert both.decrypt(of_file, of=OF) == "one", "what the file's key encrypted stays readable"
    assert both.decrypt(old, of=OF) == "two"
    new = both.encrypt("three", of=OF)
    only_new = Keyring(tmp_path, SecretStr("the new key of this server"))
    assert only_new.decrypt(new, of=OF) == "three"
    name = old.split(":")[1]
    with pytest.raises(SecretUnreadable, match=f"the encryption key {name}, .* is gone"):
        only_new.decrypt(old, of=OF)


def test_a_key_that_is_gone_is_told_and_the_next_secret_makes_another(tmp_path: Path) -> None:
    stored = Keyring(tmp_path).encrypt("sk", of=OF)
    (tmp_path / FILE).unlink()
    keyring = Keyring(tmp_path)
    with pytest.raises(SecretUnreadable, match="is gone"):
        keyring.decrypt(stored, of=OF)
    assert keyring.decrypt(keyring.encrypt("new", of=OF), of=OF) == "new"


def test_where_no_file_can_be_made_it_is_said_what_to_do(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(Unavailable, match="O_ENCRYPTION_KEY"):
        Keyring(in_the_way / "data").encrypt("sk", of=OF)
    assert Keyring(in_the_way / "data", GIVEN).encrypt("sk", of=OF).startswith("o1:")


def test_a_short_key_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        Settings(encryption_key=SecretStr("long enough to be one, short"))
    assert "long enough" not in repr(Settings(encryption_key=SecretStr("long enough to be one")))


def test_thirty_two_bytes_in_base64_are_the_key_itself(tmp_path: Path) -> None:
    Keyring(tmp_path).encrypt("sk", of=OF)
    in_file = (tmp_path / FILE).read_text().strip()
    stored = Keyring(tmp_path).encrypt("sk", of=OF)
    os.unlink(tmp_path / FILE)
    assert Keyring(tmp_path, SecretStr(in_file)).decrypt(stored, of=OF) == "sk"


def test_a_file_that_could_not_be_read_is_read_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Keyring(tmp_path).encrypt("sk", of=OF)
    keyring = Keyring(tmp_path, GIVEN)

    def read_text(*_: object, **__: object) -> str:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as used_up:
        used_up.setattr(Path, "read_text", read_text)
        with pytest.raises(SecretUnreadable):
            keyring.decrypt(stored, of=OF)
    assert keyring.decrypt(stored, of=OF) == "sk"


def test_the_file_is_read_once_for_each_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, other = Keyring(tmp_path), Keyring(tmp_path)
    stored = keyring.encrypt("sk", of=OF)
    read, plain = [], Path.read_text

    def read_text(path: Path, *args: str, **named: str) -> str:
        read.append(path.name)
        return plain(path, *args, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    for _ in range(20):
        assert keyring.decrypt(keyring.encrypt("x", of=OF), of=OF) == "x"
    assert read == []
    new = other.add_key()
    read.clear()
    for _ in range(20):
        assert keyring.encrypt("x", of=OF).split(":")[1] == new
    assert keyring.decrypt(stored, of=OF) == "sk"
    assert read == [FILE]
    without = Keyring(tmp_path / "nowhere", GIVEN)
    for _ in range(20):
        without.encrypt("x", of=OF)
    assert read == [FILE, FILE]
