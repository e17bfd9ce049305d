"""Which function of a source is called, found without running it and without end."""

import pytest

from o.tools.entry import Entry, entry_of

BOMB = "def run(agent_state):\n    return f'" + "{x}" * 80_000 + "'\n"


@pytest.mark.parametrize(
    ("source", "name", "entry"),
    [
        ("def run(agent_state): ...\ndef _own(): ...", "renamed", Entry("run", takes_state=True)),
        ("def first(): ...\nasync def run(x): ...", "first", Entry("first")),
        ("def run(:", "run", Entry("run")),
        (BOMB, "run", Entry("run")),  # reading it would take a worker seconds
    ],
)
async def test_the_function_of_a_call_is_found(source: str, name: str, entry: Entry) -> None:
    assert await entry_of(source, name) == entry
