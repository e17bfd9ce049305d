"""Hostile tools are contained, and the next honest one finds nothing of them.

They really change a machine where nothing holds them, so that none is run before a harmless
job has shown, in the same session, that this backend does.
"""

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.hostile import bombs, of_the_answer, of_the_host, of_the_network
from tests.sandbox.hostile.suite import Outcomes, let_loose

CASES = {
    case.name: case
    for module in (of_the_host, of_the_network, of_the_answer, bombs)
    for case in module.CASES
}
BOMBS = {case.name: case for case in bombs.CASES}


@pytest.fixture(scope="module", params=["docker", "bubblewrap"])
async def outcomes(request: pytest.FixtureRequest) -> AsyncIterator[Outcomes]:
    async with let_loose(request.param, CASES) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", CASES)
async def test_a_hostile_tool_is_contained(outcomes: Outcomes, name: str) -> None:
    assert await outcomes[name] == []


@pytest.fixture(scope="module")
async def watched() -> AsyncIterator[Outcomes]:
    async with let_loose("bubblewrap without cgroups", BOMBS) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_contained_where_there_are_no_cgroups(watched: Outcomes, name: str) -> None:
    assert await watched[name] == []
