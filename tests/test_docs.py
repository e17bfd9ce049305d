"""The documents speak of the code that is there."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_DOCUMENTS = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted(_ROOT.glob("docs/*.md"))]
_PATH = re.compile(r"(?<![\w/.-])[a-z_]+(?:/[a-z_0-9]+)*/[a-z_0-9]+\.(?:py|md|toml)\b")


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = set(_PATH.findall(document.read_text()))
    places = (_ROOT, document.parent)
    missing = [path for path in named if not any((place / path).is_file() for place in places)]
    assert not missing


def test_a_message_is_followed_in_sixteen_files() -> None:
    """The list in docs/architecture.md, by which somebody new reads the code."""
    text = (_ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^ ?(\d+) ([a-z_/]+\.py)", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(1, 17))
    assert len({path for _, path in listed}) == 16
