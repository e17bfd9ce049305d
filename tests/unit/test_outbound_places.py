"""Every place that opens a connection is known, and those whose address a client names are guarded.

A new place fails here until somebody has said where its addresses come from. If from a client or a
model, it goes through `o.outbound` (or `sandbox.egress`), which judges the address that is
connected to.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.product import REPOSITORY

FOLDERS = ("api", "activities", "migrations", "o", "sandbox", "server", "workflows")

GUARDED = {
    "activities/callbacks.py": "callbacks",
    "o/mcp/http.py": "MCP servers",
    "o/web/pages.py": "pages that agents read",
}
"""A client or a model names the address."""

THROUGH_THE_EGRESS_PROXY = {
    "sandbox/egress/dial.py": "what tools of a sandbox ask for, judged by its policy and the guard",
}

NAMED_BY_OPERATORS = {
    "o/llm/providers/bundled.py": "the bundled model of `o up`, on loopback",
    "o/llm/http.py": "providers; what clients have named is judged, as they are asked",
    "o/llm/wires/through_litellm.py": "one that leads nowhere, in the place of litellm's own",
    "o/mcp/session.py": "over the guarded transport of o/mcp/http.py",
    "o/outbound.py": "the guard itself",
    "o/storage/database.py": "PostgreSQL",
    "o/temporal/connection.py": "Temporal",
    "o/web/search.py": "search engines that a setting chooses",
    "sandbox/docker_box.py": "the engine of Docker, on a socket that is open",
    "sandbox/egress/api_door.py": "this server's own API",
    "sandbox/guest/forwarder.py": "inside a sandbox, to its one exit",
    "server/api_client/answers.py": "the API, from the command line",
    "server/api_client/source.py": "the API, from the command line",
    "server/backup/doing.py": "PostgreSQL",
    "server/doctor.py": "PostgreSQL",
    "server/ingest.py": "the API, from the command line",
    "server/letta_import/source.py": "PostgreSQL of a V1 server, from the command line",
    "server/letta_import/target.py": "PostgreSQL",
    "server/worker/temporal_measures.py": "what Temporal's client counts, on loopback",
    "server/up/embedded_postgres.py": "PostgreSQL of `o up`",
    "server/up/embedded_temporal.py": "Temporal of `o up`",
    "server/up/processes.py": "the API and the small model of `o up`",
}

_OPENERS = {
    "aiohttp.ClientSession",
    "aiohttp.TCPConnector",
    "asyncio.open_connection",
    "httpx.AsyncClient",
    "httpx.Client",
    "httpx.get",
    "httpx.post",
    "httpx.request",
    "httpx.stream",
    "httpx2.AsyncClient",
    "httpx2.Client",
    "socket.create_connection",
    "urllib.request.urlopen",
    "urlopen",
    "Client.connect",
    "PlainConnection.connect",
    "psycopg.connect",
    "psycopg.AsyncConnection.connect",
}
_METHODS = {"create_connection", "sock_connect"}
_MODULES = {"requests", "urllib3", "http.client", "ftplib", "smtplib", "telnetlib", "paramiko"}


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_opener(call: ast.Call) -> bool:
    name = _name_of(call.func)
    if name in _OPENERS or name.rpartition(".")[2] in _METHODS:
        return True
    # `socket.connect` of whatever a socket is called there.
    return name.rpartition(".")[2] == "connect" and name.partition(".")[0] in {"far", "probe"}


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for file in sorted((REPOSITORY / folder).rglob("*.py")):
            yield str(file.relative_to(REPOSITORY)), ast.parse(file.read_text())


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return dict(_trees())


def _opened(tree: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_opener(node)]


def test_every_place_that_opens_a_connection_is_known(trees: dict[str, ast.Module]) -> None:
    found = {file for file, tree in trees.items() if _opened(tree)}
    assert found == {*GUARDED, *THROUGH_THE_EGRESS_PROXY, *NAMED_BY_OPERATORS} & trees.keys()


def test_a_session_whose_address_a_client_names_connects_by_the_guard(
    trees: dict[str, ast.Module],
) -> None:
    for file in GUARDED:
        text = ast.unparse(trees[file])
        for call in _opened(trees[file]):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            connector = given.get("connector", "")
            assert connector == "connector" or ".connector(" in connector, f"{file}: {given}"
        assert "guard.connector(" in text or "_outbound.connector(" in text


def test_no_library_that_goes_its_own_ways_is_used(trees: dict[str, ast.Module]) -> None:
    for file, tree in trees.items():
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if (
            file == "sandbox/engine.py"
        ):  # Docker's package brings it, and its errors are caught there
            imported.discard("requests")
        assert not imported & _MODULES, f"{file} imports {imported & _MODULES}"
