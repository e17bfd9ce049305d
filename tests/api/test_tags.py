"""The tags of agents and blocks, through the official client."""

from typing import Any

import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE

FOREIGN = "org-00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def prefix(client: Letta) -> str:
    """What the tags of this file begin with. Two agents and a block have them."""
    found = new_id("block")
    client.agents.create(model=HANDLE, tags=[f"{found} b", f"{found} A%"])
    client.agents.create(model=HANDLE, tags=[f"{found} b", f"{found} d"])
    client.blocks.create(label="l", value="", tags=[f"{found} c", f"{found} d"])
    gone = client.agents.create(model=HANDLE, tags=[f"{found} gone"])
    client.agents.delete(gone.id)
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["A%", "b", "c", "d"]),
        ({"order": "desc"}, ["d", "c", "b", "A%"]),
        ({"limit": 2}, ["A%", "b"]),
        ({"after": "b"}, ["c", "d"]),
        ({"after": "bb"}, ["c", "d"]),
        ({"before": "c", "limit": 5}, ["A%", "b"]),
        ({"after": "c", "order": "desc"}, ["b", "A%"]),
        ({"name": "a%"}, ["A%"]),
        ({"name": "_"}, []),
    ],
)
def test_tags_are_listed_once_in_order(
    client: Letta, prefix: str, asked: dict[str, Any], expected: list[str]
) -> None:
    given = asked | {"name": f"{prefix} {asked.get('name', '')}"}
    for cursor in ("after", "before"):
        if cursor in asked:
            given[cursor] = f"{prefix} {asked[cursor]}"
    assert client.tags.list(**given) == [f"{prefix} {tag}" for tag in expected]
    older = {"query_text" if name == "name" else name: value for name, value in given.items()}
    assert client.tags.list(**older) == client.tags.list(**given)


def test_tags_of_another_organization_are_not_shown(client: Letta, server: Product) -> None:
    tag = new_id("block")
    block = client.blocks.create(label="l", value="", tags=[tag])
    assert client.tags.list(name=tag) == [tag]
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    server.query("UPDATE blocks SET organization_id = %s WHERE id = %s", FOREIGN, block.id)
    assert client.tags.list(name=tag) == []
