"""Where data may live, and whom PostgreSQL runs as."""

import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest

from o.errors import Conflict
from o.settings.all import Settings
from server.up import postgres_account
from server.up.embedded_postgres import Cluster, find_binaries, tcp_password
from tests.support.ports import own_port
from tests.up.conftest import NewProduct
from tests.up.stubbed import StubbedProduct

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


def test_a_long_path_with_odd_characters_gets_its_socket_elsewhere(product: NewProduct) -> None:
    up = product("it's 100%, Zoë " + "d" * 100).start()
    sockets = Path(parse_qs(urlsplit(up.state["database_url"]).query)["host"][0])
    assert not sockets.is_relative_to(up.data_dir)
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    up.write("kept")
    assert up.read() == ["kept"]
    assert up.stop() == 0
    sockets.rmdir()


def test_postgresql_has_a_connection_for_all_that_many_processes_may_open(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, workers=8, api_processes=8, database_pool=10)
    (given,) = [
        part for part in Cluster(tmp_path, settings).program().argv if "max_connections=" in part
    ]
    # Three beside the pool, as the description of O_DATABASE_POOL says.
    assert int(given.partition("=")[2]) > (8 + 8) * (10 + 3)


def test_a_password_whose_file_a_kill_left_empty_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "postgres-password"
    file.touch()
    made = tcp_password(tmp_path)
    assert len(made) > 20
    assert tcp_password(tmp_path) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_tcp_port_asks_for_the_password(product: NewProduct) -> None:
    port = own_port()
    up = product(postgres_port=port).start()
    password = (up.data_dir / "postgres-password").read_text().strip()
    target = f"host=127.0.0.1 port={port} user=o dbname=o"
    with psycopg.connect(target, password=password) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(target, password="wrong")
    assert password not in up.family()[0].environ().values()
    assert up.database_answers()


@as_root
def test_root_runs_it_in_a_namespace_and_keeps_its_files(product: NewProduct) -> None:
    up = product().start()
    if (up.data_dir / "postgres").stat().st_uid != 0:
        pytest.skip("this system has no user namespaces")
    assert stat.S_IMODE(up.data_dir.stat().st_mode) == 0o700
    assert up.database_answers()


@as_root
def test_root_without_namespaces_runs_it_as_another_account(tmp_path: Path) -> None:
    # Not below pytest's directory, which only root may enter.
    home = Path(f"/var/tmp/o-test-{os.getpid()}")
    up = StubbedProduct(home, namespaces=False)
    try:
        up.start()
        user = psutil.Process(up.pid("postgres")).username()
        assert user in {"postgres", "nobody"}
        assert (home / "postgres").stat().st_uid == pwd.getpwnam(user).pw_uid
        assert stat.S_IMODE(home.stat().st_mode) == 0o711
        up.write("kept")
        up.kill_all()
        up = StubbedProduct(home, namespaces=True).start()  # who owns it keeps it
        assert psutil.Process(up.pid("postgres")).username() == user
        assert up.read() == ["kept"]
    finally:
        up.clean_up()
        shutil.rmtree(home)


@as_root
async def test_a_closed_directory_is_named_with_the_ways_out(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    home = closed / "data" / "postgres"
    home.mkdir(parents=True)
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(0o755)
    closed.chmod(0o700)
    with pytest.raises(Conflict) as refused:
        await postgres_account.choose(home, find_binaries(), namespaces=False)
    assert f"{closed} is closed" in refused.value.message
    assert "DATABASE_URL" in refused.value.message
    assert "O_DATA_DIR" in refused.value.message
