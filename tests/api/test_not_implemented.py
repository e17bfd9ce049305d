"""Whatever V1 serves is served, or says plainly that it is not built: no id is blamed for it."""

import re
from pathlib import Path

import httpx
import letta_client
import pytest
from letta_client import APIStatusError, Letta

from api.routes.empty_lists import LISTS
from api.routes.not_implemented import operations
from o.ids import new_id
from tests.support.document import DOCUMENT
from tests.support.product import Product
from tests.support.provider import HANDLE

_CALL = re.compile(
    r"self\._(get|post|patch|put|delete|get_api_list)\(\s*(?:path_template\(\s*)?f?\"(/v1/[^\"]*)\""
)
_HOSTED = (
    "/v1/agents/{}/schedule",
    "/v1/client-side-access-tokens",
    "/v1/environments",
    "/v1/templates",
)
"""What V1's hosted service does."""

_SEGMENT = re.compile(r"\{\w+\}")


def spoken_by_the_client() -> set[tuple[str, str]]:
    """Method and path of every request that the official client can make."""
    found = set()
    for file in (Path(letta_client.__file__).parent / "resources").rglob("*.py"):
        for verb, path in _CALL.findall(file.read_text()):
            method = "get" if verb == "get_api_list" else verb
            found.add((method.upper(), _SEGMENT.sub("{}", path).rstrip("/")))
    return found


def served() -> set[tuple[str, str]]:
    """Method and path of every operation that this server documents."""
    paths = DOCUMENT["paths"]
    return {
        (method.upper(), _SEGMENT.sub("{}", path).rstrip("/"))
        for path, item in paths.items()
        for method in item
    }


def refused() -> set[tuple[str, str]]:
    return {(m, _SEGMENT.sub("{}", f"/v1{path}").rstrip("/")) for m, path in operations()}


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30, follow_redirects=False)


@pytest.mark.parametrize(("method", "path"), operations())
def test_what_is_not_built_says_so_in_a_sentence(
    http: httpx.Client, method: str, path: str
) -> None:
    address = _SEGMENT.sub("x", path)
    for spelling in (address, address.removesuffix("/") if address[-1] == "/" else f"{address}/"):
        for mount in ("/v1", "/latest"):
            answer = http.request(method, mount + spelling)
            assert answer.status_code == 501, (mount + spelling, answer.text)
            assert answer.headers["x-should-retry"] == "false"
            assert f"{method} /v1{path} of the Letta V1 API" in answer.json()["detail"]


def test_who_comes_back_from_a_sign_in_is_told_what_helps(http: httpx.Client) -> None:
    answer = http.get("/v1/tools/mcp/oauth/callback", params={"code": "x", "state": "y"})
    assert answer.status_code == 501
    assert "auth_token" in answer.json()["detail"]


def test_every_request_of_the_official_client_is_served_or_says_that_it_is_not_built() -> None:
    asked = spoken_by_the_client()
    assert len(asked) > 120
    assert asked - served() - refused() == set()


def test_of_what_the_official_client_asks_only_the_hosted_services_own_is_not_built() -> None:
    refused_of_it = {path for _, path in spoken_by_the_client() & refused()}
    assert {path for path in refused_of_it if not path.startswith(_HOSTED)} == set()


def test_nothing_that_is_served_is_in_the_table_of_what_is_not() -> None:
    assert served() & refused() == set()


@pytest.mark.parametrize("path", LISTS)
def test_what_nobody_can_make_yet_is_an_empty_list(http: httpx.Client, path: str) -> None:
    for address in (f"/v1{path}", f"/latest{path}"):
        answer = http.get(address, params={"limit": 5})
        assert (answer.status_code, answer.json()) == (200, [])


def test_the_official_client_does_not_repeat_what_is_not_built(server: Product) -> None:
    # Its own retries would take seconds; the header tells it not to.
    with pytest.raises(APIStatusError) as refusal:
        server.client(max_retries=2).agents.schedule.list(new_id("agent"))
    assert refusal.value.status_code == 501
    assert refusal.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_tool_that_is_listed_can_be_attached(client: Letta) -> None:
    agent = client.agents.create(model=HANDLE, include_base_tools=False)
    (tool,) = client.tools.list(name="conversation_search")
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    assert [one.name for one in client.agents.tools.list(agent.id)] == ["conversation_search"]
