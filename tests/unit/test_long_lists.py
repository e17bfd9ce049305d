"""Long lists are written into a document as if it had held them."""

import json
from typing import Any

import pytest

from api.agent_files.long_lists import LongLists

ENTRIES: list[Any] = [
    {"text": "two\nlines, ü, \\n and \u2028", "none": None, "deep": {"list": [1, []], "no": {}}},
    "a text",
    {},
]


@pytest.mark.parametrize("many", [0, 1, 20_000])
def test_a_document_is_the_same_text_with_its_lists_and_without(many: int) -> None:
    entries = ENTRIES * many

    def document(*lists: Any) -> dict[str, Any]:
        return {"things": [{"name": "ü", "list": one, "more": 1} for one in lists], "end": []}

    lists = LongLists()
    first = lists.begin()
    for at in range(0, len(entries), 1_000):
        lists.add(entries[at : at + 1_000])
    empty, last = lists.begin(), lists.begin()
    lists.add(ENTRIES)
    pieces = list(lists.written(document(last, empty, first)))
    expected = json.dumps(document(ENTRIES, [], entries), ensure_ascii=False, indent=2)
    assert b"".join(pieces) == expected.encode()
    assert max(map(len, pieces)) <= 64 * 1024
