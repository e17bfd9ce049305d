"""What the commands say where they cannot work: one line that tells what to do, no traceback."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.support.disk import small_disk
from tests.support.ports import own_port
from tests.support.product import REPOSITORY, eventually
from tests.support.refusing import refusing_temporal
from tests.up.conftest import NewProduct

_O = (sys.executable, "-m", "server.cli")
NO_URL = "mysql://o:hush@127.0.0.1/o"
NOBODY = "postgresql://o:hush@127.0.0.1:9/o"


def o(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("O_") and "_API_KEY" not in name
    }
    return subprocess.run(
        [*_O, *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line, where there was nothing worse to see."""
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    assert "hush" not in said
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {"O_PORT": "x"}, "O_PORT: Input should be a valid integer"),
        (["--port", "99999"], {}, "--port: Input should be less than"),
        (["--port", "99999"], {"O_PORT": "1"}, "--port: Input should be less than"),
        (["--temporal-ui-port", "1"], {"O_BUSY_POLICY": "x"}, "O_BUSY_POLICY: Input should be"),
        ([], {"OPENAI_BASE_URL": "ftp://x"}, "OPENAI_BASE_URL: has to be an address that begins"),
        (
            [],
            {"O_OPENAI_BASE_URL": "ftp://x"},
            "O_OPENAI_BASE_URL: has to be an address that begins",
        ),
        ([], {"TEMPORAL_TLS": "perhaps"}, "TEMPORAL_TLS: Input should be a valid boolean"),
        ([], {"ACCEPTABLE_ORIGINS": "x"}, "ACCEPTABLE_ORIGINS: "),
        ([], {"O_HOST": "0.0.0.0"}, "set O_API_TOKEN before you listen on 0.0.0.0"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_written(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    line = the_line(o("up", *arguments, **({"O_DATA_DIR": str(tmp_path)} | environment)))
    assert f"Error: {said}" in line


@pytest.mark.parametrize("command", ["up", "api", "worker", "doctor"])
def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("O_IMAGE=mine\nexport O_API_TOKN=hush\n")
    given = {
        "O_SANDBOX_NETWRK": "hush",
        "O_TEST_DOCKER": "1",
        "O_DATA_DIR": "data",
        "O_PORT": "0",
        "O_SANDBOX_BACKEND": "unsafe-subprocess",
        "DATABASE_URL": NO_URL,  # so that it ends
        "PYTHONPATH": str(REPOSITORY),
    }
    done = o(command, **given)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "_NETWRK" in line]
    assert len(told) == 1, "once, in a line"
    said = done.stdout + done.stderr
    assert re.search("O_SANDBOX_NETWRK.*[^_]O_SANDBOX_NETWORK|_NETWRK.*\n.*O_SANDBOX_NETWORK", said)
    assert re.search("O_API_TOKN.*O_API_TOKEN|_TOKN in .env.*\n.*O_API_TOKEN", said)
    assert "hush" not in said
    for known in given.keys() - {"O_SANDBOX_NETWRK"} | {"O_IMAGE"}:
        assert not re.search(rf"variable={known}|{known} in ", said)


@pytest.mark.parametrize("command", ["up", "api", "worker", "migrate"])
def test_what_is_no_address_of_a_database_is_one_line(tmp_path: Path, command: str) -> None:
    line = the_line(o(command, DATABASE_URL=NO_URL, O_DATA_DIR=str(tmp_path), O_PORT="0"))
    assert line.startswith("o: DATABASE_URL is not the address of a PostgreSQL database: write")


@pytest.mark.parametrize("command", ["up", "migrate"])
def test_a_database_where_nothing_listens_is_one_line(tmp_path: Path, command: str) -> None:
    line = the_line(o(command, DATABASE_URL=NOBODY, O_DATA_DIR=str(tmp_path), O_PORT="0"))
    assert line.startswith("o: the database of DATABASE_URL cannot be used: nothing listens there.")


@pytest.mark.parametrize("url", [NO_URL, NOBODY])
def test_the_doctor_names_a_wrong_address(tmp_path: Path, url: str) -> None:
    done = o("doctor", DATABASE_URL=url, O_DATA_DIR=str(tmp_path), O_PORT="0")
    the_line(done)
    assert "bad   " in done.stdout
    assert "DATABASE_URL" in done.stdout


@pytest.mark.parametrize("command", ["api", "worker", "migrate", "up"])
def test_a_schema_that_is_not_the_expected_one_is_one_line(
    product: NewProduct, tmp_path: Path, command: str
) -> None:
    url = product().start().state["database_url"]
    with psycopg.connect(url) as connection:
        connection.execute("create table alembic_version (version_num text primary key)")
        connection.execute("insert into alembic_version values ('a1b2c3d4e5f6')")
    temporal = {} if command == "up" else {"TEMPORAL_ADDRESS": "127.0.0.1:9"}
    place = {"O_DATA_DIR": str(tmp_path / "other"), "O_PORT": "0"}
    line = the_line(o(command, DATABASE_URL=url, **temporal, **place))
    assert line.startswith("o: the database names a revision 'a1b2c3d4e5f6'.")


def test_a_temporal_where_nothing_listens_is_one_line(product: NewProduct) -> None:
    up = product().start()
    given = {"DATABASE_URL": up.state["database_url"], "TEMPORAL_ADDRESS": "127.0.0.1:9"}
    assert the_line(o("migrate", **given)).startswith(
        "o: no Temporal server at 127.0.0.1:9 serves the namespace default: start it"
    )


def test_a_temporal_that_does_not_let_us_in_is_one_line_at_once(product: NewProduct) -> None:
    url = product().start().state["database_url"]
    with refusing_temporal() as address:
        given = {"DATABASE_URL": url, "TEMPORAL_ADDRESS": address, "O_TEMPORAL_API_KEY": "hush"}
        for command in ("migrate", "worker"):  # the first brings the schema that the second needs
            line = the_line(o(command, O_TEMPORAL_TLS="0", **given))
            assert line == (
                f"o: the Temporal server at {address} does not let us into the namespace default: "
                "set O_TEMPORAL_API_KEY, or O_TEMPORAL_CERT_FILE and O_TEMPORAL_KEY_FILE"
            )


def test_a_new_namespace_is_whole_when_it_is_migrated(product: NewProduct) -> None:
    up = product().start()
    given = {"DATABASE_URL": up.state["database_url"], "TEMPORAL_NAMESPACE": "new"}
    given["TEMPORAL_ADDRESS"] = up.state["temporal_address"]
    done = o("migrate", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("done: temporal operator search-attribute create") == 3


async def test_a_namespace_that_lacks_what_turns_need_is_seen_by_all_who_look(
    product: NewProduct, tmp_path: Path
) -> None:
    up = product().start()
    await _fill_namespace(up.state["temporal_address"])
    given = {"DATABASE_URL": up.state["database_url"], "O_DATA_DIR": str(tmp_path / "other")}
    given |= {"TEMPORAL_ADDRESS": up.state["temporal_address"], "TEMPORAL_NAMESPACE": "full"}
    given |= {"O_PORT": str(own_port()), "O_SANDBOX_BACKEND": "unsafe-subprocess"}
    refused = o("migrate", **given)
    assert the_line(refused).startswith("o: Temporal refused what O needs in the namespace full")
    assert refused.stdout.count("run: temporal operator search-attribute create --name ") == 3
    found = o("doctor", **given)
    assert found.returncode == 1
    assert "namespace full: it lacks O's search attributes\n      run `o migrate`" in found.stdout
    api = subprocess.Popen([*_O, "api"], env=os.environ | given)
    try:
        url = f"http://127.0.0.1:{given['O_PORT']}/v1/ready/"
        eventually(lambda: _temporal_of(url) == "unprepared", what="word of it")
        shown = o("status", **given)
        assert shown.returncode == 1
        assert "Temporal     LACKS O's search attributes: no turn begins until" in shown.stdout
    finally:
        api.terminate()
        api.wait()


async def _fill_namespace(address: str) -> None:
    """Have a namespace in which there is no room for O's search attributes."""
    client = await Client.connect(address, namespace="full")
    kept = Duration(seconds=86_400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace="full", workflow_execution_retention_period=kept)
    )
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    request = AddSearchAttributesRequest(
        namespace="full", search_attributes={f"Somebodys{n}": keyword for n in range(10)}
    )
    async with asyncio.timeout(30):
        while True:
            try:
                await client.operator_service.add_search_attributes(request)
            except RPCError:  # it is not known everywhere yet
                await asyncio.sleep(0.1)
            else:
                return


def _temporal_of(url: str) -> str | None:
    try:
        return str(httpx.get(url, timeout=5).json()["temporal"])
    except (httpx.HTTPError, KeyError):
        return None


def test_a_log_level_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    line = the_line(o("up", O_LOG_LEVEL="LOUD", O_DATA_DIR=str(tmp_path)))
    assert "O_LOG_LEVEL" in line
    assert "'DEBUG'" in line
    assert "log_level" not in o("doctor", O_LOG_LEVEL="debug", O_DATA_DIR=str(tmp_path)).stderr


def _folder(name: str) -> Callable[[Path], None]:
    return lambda data_dir: (data_dir / name).mkdir(parents=True)


def _file(name: str) -> Callable[[Path], None]:
    def make(data_dir: Path) -> None:
        data_dir.mkdir()
        (data_dir / name).touch()

    return make


IN_THE_WAY: dict[str, Callable[[Path], None]] = {
    "lock": _folder("lock"),
    "temporal.lock": _folder("run/temporal.lock"),
    "postgres-password": _folder("postgres-password"),
    "temporal.log": _folder("logs/temporal.log"),
    "migrate.log": _folder("logs/migrate.log"),
    "up.json": _folder("up.json"),
    "postgres": _file("postgres"),
    "logs": _file("logs"),
    "data": lambda data_dir: data_dir.touch(),
}


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_stands_in_the_way_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    IN_THE_WAY[name](tmp_path / "data")
    port = str(own_port())
    done = o(
        "up",
        "--postgres-port",
        str(own_port()),
        O_DATA_DIR=str(tmp_path / "data"),
        O_PORT=port,
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
    )
    assert name in the_line(done)


@pytest.mark.parametrize("mib", [1, 30])
def test_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path, mib: int) -> None:
    with small_disk(tmp_path / "small", mib) as place:
        (place / "filler").write_bytes(b"x" * (mib * 1024 * 1024 - 8192))
        done = o(
            "up",
            O_DATA_DIR=str(place / "data"),
            O_PORT="0",
            OPENAI_BASE_URL="http://127.0.0.1:9/v1",
        )
    said = done.stdout + done.stderr
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert done.returncode != 0


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "fixed", 1, is_read_only=True) as place:
        line = the_line(o("up", O_DATA_DIR=str(place / "data"), O_PORT="0"))
    assert "Read-only file system" in line
    assert "O_DATA_DIR" in line
