"""What somebody who has a key, and not the server's token, can make of providers."""

import httpx

from tests.support.organizations import new_organization
from tests.support.product import Product


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
