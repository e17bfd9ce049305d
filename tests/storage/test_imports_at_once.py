"""Imports of agent files that bring the same at the same moment: each sees what came before it."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from o.ids import new_id
from tests.support.agent_files import Files, agent, tool, whole
from tests.support.locks import changes_paused, wait_for_locks
from tests.support.product import Product

pytestmark = pytest.mark.usefixtures("no_deadlock")


def _identity(name: str) -> dict[str, Any]:
    return {"identifier_key": name, "name": "ada", "identity_type": "user"}


def _folder(name: str) -> dict[str, Any]:
    return {"id": f"source-{name}", "name": name}


def _mcp_server(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "server_name": name,
        "server_type": "sse",
        "server_url": "http://127.0.0.1:9",
    }


@pytest.mark.parametrize(
    ("part", "table", "named"),
    [
        ("o_identities", "identities", _identity),
        ("sources", "folders", _folder),
        ("mcp_servers", "mcp_servers", _mcp_server),
    ],
)
def test_imports_that_bring_the_same_names_store_them_in_one_order(
    server: Product,
    pool: ThreadPoolExecutor,
    part: str,
    table: str,
    named: Callable[[str], dict[str, Any]],
) -> None:
    names = sorted(new_id("name") for _ in range(2))
    files = Files(server.url)

    def load(names: Iterable[str]) -> int:
        return files.send(whole(agent(), **{part: [named(name) for name in names]})).status_code

    with changes_paused(server, f"INSERT ON {table}") as go_on:
        first = pool.submit(load, names)
        wait_for_locks(server, 1)
        second = pool.submit(load, reversed(names))
        wait_for_locks(server, 2)
        go_on()
        assert first.result(60) == 200
        assert second.result(60) in {200, 409}, "the names are taken"


def _file_of(names: Iterable[str], doing: str) -> dict[str, Any]:
    """A file with these tools, whose source says what they do."""
    tools = [
        tool(n, name, description=doing, source_code=f"def {name}(n: int) -> str: return {doing!r}")
        for n, name in enumerate(names)
    ]
    return whole(agent(tool_ids=[one["id"] for one in tools]), tools=tools)


def _source_of(server: Product, name: str) -> str:
    ((source,),) = server.query("SELECT source_code FROM tools WHERE name = %s", name)
    return str(source)


@pytest.mark.parametrize("overrides", [True, False])
def test_of_two_imports_that_bring_one_new_tool_the_second_finds_the_first_ones_here(
    server: Product, pool: ThreadPoolExecutor, overrides: bool
) -> None:
    files, name = Files(server.url), new_id("tool").replace("-", "_")

    def load(doing: str) -> dict[str, Any]:
        form = {"override_existing_tools": str(overrides).lower()}
        return files.load(_file_of([name], doing), **form)

    with changes_paused(server, "INSERT ON tools") as go_on:
        first = pool.submit(load, "first")
        wait_for_locks(server, 1)
        second = pool.submit(load, "second")
        wait_for_locks(server, 2)
        go_on()
        assert first.result(60)["notes"] == []
        told = "is now as the file says" if overrides else "stays as it is"
        (note,) = second.result(60)["notes"]
        assert told in note
    assert ("second" if overrides else "first") in _source_of(server, name)


def test_imports_that_change_the_same_tools_do_so_one_after_the_other(
    server: Product, pool: ThreadPoolExecutor
) -> None:
    files = Files(server.url)
    names = sorted(new_id("tool").replace("-", "_") for _ in range(2))
    files.load(_file_of(names, "before"))

    def load(doing: str) -> dict[str, Any]:
        return files.load(_file_of(names, doing))

    with changes_paused(server, "UPDATE ON tools") as go_on:
        loading = [pool.submit(load, doing) for doing in ("one", "other")]
        wait_for_locks(server, 2)
        go_on()
        for one in loading:
            assert "is now as the file says" in one.result(60)["notes"][0]
    assert len({_source_of(server, name).rsplit(maxsplit=1)[-1] for name in names}) == 1
