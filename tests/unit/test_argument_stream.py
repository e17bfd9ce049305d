"""Arguments that come in pieces read the same as those that come whole."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.argument_stream import ArgumentReader
from o.domain.text import storable

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=8), any_json, max_size=5)
HARD = '{"a": "x\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\\ud83dz\\ude00", "b": [1, "]}\\""], "c": -1.5e3}'


def read(pieces: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The source and the text of each argument, put together again."""
    reader = ArgumentReader()
    sources: dict[str, str] = {}
    texts: dict[str, str] = {}
    for piece in pieces:
        for told in reader.feed(piece):
            assert told.is_first == (told.name not in sources)
            sources[told.name] = sources.get(told.name, "") + told.source
            texts[told.name] = texts.get(told.name, "") + told.text
    assert reader.has_ended
    return sources, texts


@given(objects, st.data(), st.booleans(), st.sampled_from([None, 2]))
def test_every_argument_is_read_wherever_the_pieces_are_cut(
    arguments: dict[str, object], data: st.DataObject, ascii_only: bool, indent: int | None
) -> None:
    whole = json.dumps(arguments, ensure_ascii=ascii_only, indent=indent)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    sources, texts = read([whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])])
    assert {name: json.loads(source) for name, source in sources.items()} == arguments
    for name, value in arguments.items():
        assert texts[name] == (value if isinstance(value, str) else "")


def test_escapes_and_surrogate_pairs_may_be_cut_at_every_point() -> None:
    expected = storable(json.loads(HARD)["a"])
    assert expected == 'x"\\/\né😀\ufffdz\ufffd'
    for first in range(len(HARD)):
        for second in range(first, len(HARD)):
            sources, texts = read([HARD[:first], HARD[first:second], HARD[second:]])
            assert texts == {"a": expected, "b": "", "c": ""}
            assert json.loads(sources["b"]) == [1, ']}"']


def test_escapes_that_json_does_not_know_stand_for_what_is_behind_them() -> None:
    whole = '{"a": "x\\y\\\'\n\\u12\\u00e9", "b": [1]]}'
    for cut in range(len(whole)):
        sources, texts = read([whole[:cut], whole[cut:]])
        assert texts["a"] == "xy'\n\ufffd00e9"
        assert sources["b"] == "[1]"


@pytest.mark.parametrize(
    "broken", ["", "nonsense", '{"a', '{"a": "b', '{"a": [1, {"b', '{"\\uZZZZ":1']
)
def test_what_is_not_json_yields_something_and_never_an_end(broken: str) -> None:
    reader = ArgumentReader()
    reader.feed(broken)
    assert not reader.has_ended


@given(st.text(st.characters()))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    ArgumentReader().feed("{" + text)
