"""Whatever is done to a file, it is taken or refused with one sentence: nothing else happens."""

import contextlib
import copy
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o.domain.actors import Actor
from o.errors import InvalidInput
from o.letta.notes import Notes
from o.letta.planned_agents import plan_import
from o.letta.plans import ImportOptions, ImportPlan, Model, Setting
from o.letta.reading import read_file
from tests.support import agent_files as files
from tests.support.agent_files import everything

FILE = everything()
ODD: list[Any] = [
    *(None, True, 0, -1, 2**31, 10**40, 1.5, float("inf"), "", "x", "\x00", "\ud800", "a" * 5000),
    *([], {}, [None], [[]], {"a": {}}, {"id": "agent-0"}, ["agent-0"], "message-1", "2025-13-45"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", {"type": "image", "source": 3}),
]
SETTING = Setting(
    actor=Actor(),
    now=datetime(2026, 1, 1, tzinfo=UTC),
    options=ImportOptions(),
    default_model=Model("a/b", 8000),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(one for key, part in inner for one in places(part, (*path, key)))]


PLACES = places(FILE)


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """The file with another value in one place."""
    whole = copy.deepcopy(FILE)
    if not path:
        return value
    at: Any = whole
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return whole


def planned(file: Any) -> ImportPlan | None:
    """What becomes of it; None where it is refused."""
    try:
        return plan_import(read_file(json.dumps(file).encode()), SETTING, Notes())
    except InvalidInput as error:
        why = error.message
    assert why.startswith("The agent file cannot be imported: ")
    assert len(why) < 1_000
    return None


def test_the_file_that_is_changed_is_taken_as_it_is() -> None:
    assert planned(FILE) is not None


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PLACES), st.sampled_from(ODD))
@example(("agents", 0, "messages", 3, "content"), ["x", {"type": "reasoning"}])
def test_any_value_in_any_place_is_taken_or_refused(path: tuple[Any, ...], value: Any) -> None:
    found = planned(changed(path, value))
    if found is not None:
        for agent in found.agents:
            for thread in agent.threads:
                for message in thread.messages:
                    message.model_dump_json()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    try:
        read_file(content)
    except InvalidInput:
        return
    raise AssertionError("it was taken")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4000), st.integers(0, 4000))
def test_a_file_that_is_cut_or_doubled_is_refused(start: int, end: int) -> None:
    content = json.dumps(files.whole(files.agent())).encode()
    mixed = content[:start] + content[end:]
    with contextlib.suppress(InvalidInput):
        read_file(mixed)
