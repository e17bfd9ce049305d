"""Ready is the truth about what the server can do now."""

import httpx
import psutil

from tests.support.product import Product, eventually


def _ready(server: Product) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/ready/", timeout=10)


def test_a_server_whose_temporal_does_not_answer_lives_and_is_not_ready(server: Product) -> None:
    assert _ready(server).status_code == 200
    temporal = psutil.Process(server.pid_of("temporal"))
    temporal.suspend()
    try:
        answer = _ready(server)
        assert answer.status_code == 503
        assert "Temporal is away" in answer.json()["detail"]
        assert httpx.get(f"{server.url}/v1/health/").status_code == 200
    finally:
        temporal.resume()
    eventually(lambda: _ready(server).status_code == 200)
