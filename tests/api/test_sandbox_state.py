"""What tools run in is said by health and by the text at start."""

from typing import Any

import httpx

from tests.support.product import Product, eventually


def test_what_tools_run_in_is_shown(server: Product) -> None:
    def told() -> dict[str, Any] | None:
        found: dict[str, Any] | None = httpx.get(f"{server.url}/v1/ready/").json().get("sandbox")
        return found

    state = eventually(told, what="what tools run in")
    assert (state["backend"], state["level"]) == ("bubblewrap", "namespaces")
    assert state["caps"] in {"cgroup", "watcher", "cgroup and watcher"}
    assert state["problem"] == ""
    words = "Tools: custom tools run in bubblewrap (namespaces; memory and CPU held by "
    eventually(lambda: words in server.log_path.read_text(), what="the text at start")
