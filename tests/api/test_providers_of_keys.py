"""What somebody who has a key, and not the server's token, can make of providers."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import httpx
import pytest

from tests.support.organizations import new_key, new_organization
from tests.support.product import Product, eventually


def test_a_key_sends_nothing_inwards_by_a_provider_and_takes_no_key_of_the_server(
    server: Product,
) -> None:
    """Of loopback, O_OUTBOUND_ALLOW names 127.0.0.1 here and nothing else."""
    headers = {"authorization": f"Bearer {new_organization(server, 'elsewhere')}"}
    stranger = httpx.Client(base_url=server.url, headers=headers, timeout=60)
    inner = ["http://10.0.0.1/v1", "http://169.254.169.254/v1", "http://[::1]:5432"]
    for address in inner:
        body = {"name": "inner", "provider_type": "openai", "api_key": "x", "base_url": address}
        for path in ("/v1/providers/", "/v1/providers/check"):
            answer = stranger.post(path, json=body)
            assert answer.status_code == 422, answer.text
            assert "O_OUTBOUND_ALLOW" in answer.text
    allowed = {"name": "near", "provider_type": "openai", "api_key": "x"}
    made = stranger.post("/v1/providers/", json=allowed | {"base_url": "http://127.0.0.1:9/v1"})
    assert made.status_code == 200
    changed = stranger.patch(f"/v1/providers/{made.json()['id']}", json={"base_url": inner[0]})
    assert changed.status_code == 422
    own = [one for one in stranger.get("/v1/providers/").json() if one["name"] == "openai"]
    taken = stranger.patch(f"/v1/providers/{own[0]['id']}", json={"base_url": "https://a.example"})
    assert taken.status_code == 409
    assert "server's token" in taken.json()["detail"]
    stranger.delete(f"/v1/providers/{made.json()['id']}")


@pytest.fixture
def inner() -> Iterator[socket.socket]:
    """A listener of this machine, at an address that O_OUTBOUND_ALLOW does not name."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        listener.settimeout(0)
        yield listener


def _came(listener: socket.socket) -> bool:
    """Whether somebody has connected; whoever has is hung up on."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_an_address_that_leads_inwards_later_is_connected_to_by_nobody(
    server: Product, inner: socket.socket
) -> None:
    """The row is changed by hand, as a name is by who has it in his zone."""
    headers = {"authorization": f"Bearer {new_key(server, 'admin')}"}
    stranger = httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60)
    root = httpx.Client(base_url=f"{server.url}/v1", timeout=60)  # as the server has no token
    body = {"name": "moves", "provider_type": "openai", "api_key": "x"}
    made = stranger.post("/providers/", json=body | {"base_url": "http://127.0.0.1:9/v1"}).json()
    provider = f"/providers/{made['id']}"
    address = f"http://127.0.0.2:{inner.getsockname()[1]}/v1"
    server.query("UPDATE providers SET base_url = %s WHERE id = %s", address, made["id"])
    agent = stranger.post("/agents/", json={"model": "moves/x", "memory_blocks": []}).json()
    messages = f"/agents/{agent['id']}/messages"
    for changed in ({"api_key": "another"}, {"region": "north"}):
        said = stranger.post(messages, json={"input": "hello"}).text
        assert "its address is not public, and O_OUTBOUND_ALLOW does not name it" in said
        assert "not public" in stranger.patch(f"{provider}/refresh").text
        assert "not public" in stranger.post(f"{provider}/check").text
        for client in (stranger, root):
            client.get("/models/")
            assert client.patch(provider, json=changed).status_code == 200
    assert not _came(inner)

    assert root.patch(provider, json={"base_url": address}).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(root.post, messages, json={"input": "hello"})
        eventually(lambda: _came(inner), what="a connection to what an operator has named")
        while not sent.done():
            _came(inner)
            wait([sent], timeout=0.1)
    root.delete(provider)
