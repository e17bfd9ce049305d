"""What a tool may require, by a table."""

from typing import Any

import pytest

from o.errors import InvalidArgument
from sandbox.requirements import check

TAKEN: list[tuple[dict[str, Any], str]] = [
    ({"name": "requests"}, "requests"),
    ({"name": "requests", "version": None}, "requests"),
    ({"name": "requests", "version": ""}, "requests"),
    ({"name": "requests", "version": "2.32.0"}, "requests==2.32.0"),
    ({"name": "requests", "version": "v2.32.0"}, "requests==2.32.0"),
    ({"name": "requests", "version": "==2.32.0"}, "requests==2.32.0"),
    ({"name": "requests", "version": ">=2,<3"}, "requests<3,>=2"),
    ({"name": "requests", "version": "~=2.1"}, "requests~=2.1"),
    ({"name": "requests", "version": "2.*"}, "requests==2.*"),
    ({"name": "requests", "version": "latest"}, "requests"),
    ({"name": "requests", "version": "*"}, "requests"),
    ({"name": " requests==2 "}, "requests==2"),
    ({"name": "requests>=2"}, "requests>=2"),
    ({"name": "Foo_Bar.baz"}, "foo-bar-baz"),
    ({"name": "httpx[http2, cli]"}, "httpx[cli,http2]"),
    ({"name": "httpx[http2]", "version": "0.27"}, "httpx[http2]==0.27"),
    ({"name": "a", "version": "1.0", "more": 1}, "a==1.0"),
]
REFUSED: list[dict[str, Any]] = [
    {},
    {"name": None},
    {"name": 1},
    {"name": ""},
    {"name": "a", "version": 2},
    {"name": "-r/etc/passwd"},
    {"name": "-r /etc/passwd"},
    {"name": "--index-url=http://127.0.0.1/"},
    {"name": "-e ."},
    {"name": "a --index-url=http://127.0.0.1/"},
    {"name": "a\n--index-url=http://127.0.0.1/"},
    {"name": "a", "version": "1\n--index-url=http://127.0.0.1/"},
    {"name": "a", "version": "1 --hash=sha256:0"},
    {"name": "a", "version": "1; python_version<'4'"},
    {"name": "a; python_version<'4'"},
    {"name": "a # comment"},
    {"name": "a @ http://127.0.0.1/a.whl"},
    {"name": "a @ file:///etc/passwd"},
    {"name": "http://127.0.0.1/a.whl"},
    {"name": "git+https://127.0.0.1/a"},
    {"name": "./a.whl"},
    {"name": "../a"},
    {"name": "/etc/passwd"},
    {"name": "file:///etc/passwd"},
    {"name": "a.whl/../b"},
    {"name": "${HOME}"},
    {"name": "a==${HOME}"},
    {"name": "$(id)"},
    {"name": "a", "version": "$(id)"},
    {"name": "a", "version": "@ http://127.0.0.1/a.whl"},
    {"name": "a", "version": "===1"},
    {"name": "a==1", "version": "2"},
    {"name": "a", "version": "^1.0"},
    {"name": "requеsts"},  # a Cyrillic letter
    {"name": "a\0"},
    {"name": "a" * 300},
    {"name": "a", "version": ">=1," * 100 + ">=1"},
]


@pytest.mark.parametrize(("requirement", "line"), TAKEN)
def test_names_and_versions_are_taken(requirement: dict[str, Any], line: str) -> None:
    assert check([requirement]) == (line,)


@pytest.mark.parametrize("requirement", REFUSED)
def test_all_else_is_refused(requirement: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        check([requirement])


def test_the_same_set_gives_the_same_lines() -> None:
    one, two = {"name": "a", "version": "1"}, {"name": "B"}
    assert check([one, two]) == check([two, one, {"name": "A==1"}, {"name": "b"}])
    assert check(None) == check([]) == ()
    with pytest.raises(InvalidArgument, match="at most 50"):
        check([{"name": f"a{n}"} for n in range(51)])
