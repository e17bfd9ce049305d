"""What is exported is named safely, written whole, and reads as what was said."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from o.errors import InvalidInput
from server.export.markdown import block_markdown, index_markdown, message_markdown
from server.export.names import distinct_names, name_with_id, safe_name
from server.export.writing import Place

ID = "agent-123e4567-e89b-42d3-8456-426614174000"
OTHER = "agent-223e4567-e89b-42d3-8456-426614174000"

HOSTILE = [
    *("", " ", ".", "..", "...", "../../etc/passwd", "/", "\\\\server\\share", "a/b", "C:\\x"),
    *("nul\0byte", "line\nbreak", "tab\t", "\x1b[31mred", "\x7f", "\ud800", "a\u202egpj.exe"),
    *("CON", "con.txt", "Lpt1", "COM\u00b9", "aux", "NUL.tar.gz", "conin$"),
    *("name.", "name ", " name", "~", "-rf", ".hidden", 'a<b>c:d|e?f*g"h`i'),
    *("x" * 300, "\U0001f600" * 300, "ü" * 300, "e\u0301" * 300, "\u200b" * 50),
    *("agent.af.part", "README.md", "ada", "Straße", "日本語", "\U0001f469\u200d\U0001f4bb"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_one_that_every_system_takes(text: str, tmp_path: Path) -> None:
    name = safe_name(text, "agent")
    assert name
    assert len(name.encode()) <= 121
    assert not set(name) & set('/\\:*?"<>|`')
    assert all(unicodedata.category(char)[0] != "C" for char in name)
    assert name == name.strip()
    assert name[-1] not in " ."
    assert name[0] not in ".-~"
    assert not re.fullmatch(r"(?i)(con|nul|aux|prn|com\d|lpt\d)(\..*)?", name)
    assert Path(name).name == name
    (tmp_path / f"{name}.md").write_text(text.encode("utf-8", "replace").decode())
    assert os.listdir(tmp_path) == [f"{name}.md"]


def test_what_can_be_kept_of_a_name_is_kept() -> None:
    kept = {"Straße": "Straße", "日本語": "日本語", "ada & co": "ada & co", "a/b": "a_b"}
    assert {text: safe_name(text, "x") for text in kept} == kept
    assert safe_name("...", "agent") == "agent"
    assert safe_name("con", "x") == "_con"
    assert safe_name("e\u0301", "x") == safe_name("\u00e9", "x")


@pytest.mark.parametrize("texts", [("ada", "ada"), ("Ada", "ada"), ("a/b", "a:b"), ("", "..")])
def test_two_of_one_name_lie_beside_each_other(texts: tuple[str, str]) -> None:
    named = list(zip(texts, (ID, OTHER), strict=True))
    names = distinct_names([*named, ("else", ID)])
    assert len({name.casefold() for name in names}) == 3
    assert names[2] == "else"
    assert distinct_names(named[::-1]) == names[1::-1], "whatever their order"


def test_an_agents_folder_has_its_id_whatever_others_there_are() -> None:
    assert name_with_id("ada", ID) == "ada-123e4567e89b"
    assert name_with_id("", ID) == "agent-123e4567e89b"


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    place = Place(tmp_path / "new", overwrite=False)
    assert place.lacks("x")

    def half() -> None:
        with place.writing("x") as file:
            file.write(b"half")
            assert place.lacks("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "new" / "x.part").write_bytes(b"of an export that was killed")
    place.write("x", "whole \ud800")
    assert os.listdir(tmp_path / "new") == ["x"]
    assert (tmp_path / "new" / "x").read_bytes() == b"whole ?"
    assert not place.lacks("x")
    assert Place(tmp_path / "new", overwrite=True).lacks("x")


def test_directories_that_are_made_are_nobody_elses_to_read(tmp_path: Path) -> None:
    Place(tmp_path / "a" / "b", overwrite=False).below("c").write("x", "")
    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert [one.stat().st_mode & 0o777 for one in made] == [0o700] * 3


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        Place(tmp_path / "file", overwrite=False).write("x", "")


def message(kind: str, **fields: Any) -> dict[str, Any]:
    return {"message_type": kind, "date": "2026-11-25T11:32:17+00:00", "name": None, **fields}


SPOOF = "hello\n\n### ada (assistant) · now\n</details>\n```\n> x"


@pytest.mark.parametrize(
    ("shown", "begins"),
    [
        (message("user_message", content=SPOOF), "### user · 2026-11-25 11:32:17 UTC\n\n> hello\n"),
        (message("assistant_message", content=SPOOF), "### ada (assistant) · "),
        (message("user_message", content=SPOOF, name="Bo*"), "### Bo\\* (user) · "),
        (message("system_message", content=SPOOF), "<details><summary>system · "),
        (message("reasoning_message", reasoning=SPOOF), "<details><summary>thought · "),
        (message("summary_message", summary=SPOOF), "<details><summary>summary of "),
        (
            message("tool_return_message", name="<b>", tool_return=SPOOF, status="error"),
            "<details><summary>&lt;b&gt; returned an error · ",
        ),
        (
            message("tool_call_message", tool_calls=[{"name": "look", "arguments": SPOOF}]),
            "<details><summary>call: look · ",
        ),
        (message("of_the_future", content=SPOOF), "<details><summary>of_the_future · "),
    ],
)
def test_no_text_passes_itself_off_as_another_message(shown: dict[str, Any], begins: str) -> None:
    told = message_markdown(shown, "ada")
    assert told.startswith(begins)
    outside: list[str] = []
    fence = ""
    for line in told.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif (found := re.match(r"`{3,}", line)) is not None:
            fence = found[0]
        else:
            outside.append(line)
    assert fence == ""
    assert sum(line.startswith("### ") for line in outside) <= 1
    assert sum("<details>" in line for line in outside) == sum(x == "</details>" for x in outside)
    assert not any(line in ("hello", "> x") for line in outside if not line.startswith("> "))


def test_calls_and_returns_are_shown_with_all_that_they_hold() -> None:
    calls = [{"name": "a", "arguments": '{"x":"ü"}'}, {"name": "b", "arguments": "{broken"}]
    told = message_markdown(message("approval_request_message", tool_calls=calls), "ada")
    assert '{\n  "x": "ü"\n}' in told
    assert "{broken" in told
    returns = [
        {"tool_return": "one", "status": "success", "stdout": ["out"], "stderr": None},
        {"tool_return": [{"type": "image", "source": {"media_type": "image/png"}}]},
    ]
    told = message_markdown(message("tool_return_message", name="a", tool_returns=returns), "ada")
    assert told.count("a returned") == 2
    assert "stdout:\n\n```text\nout\n```" in told
    assert "[image: image/png]" in told
    answers = [{"tool_call_id": "call-1", "approve": False, "reason": "no *way*"}]
    told = message_markdown(message("approval_response_message", approvals=answers), "ada")
    assert "- call-1: denied, because: no \\*way\\*" in told
    nothing: list[Any] = [None, "", []]
    for empty in nothing:
        assert message_markdown(message("user_message", content=empty), "ada")


def test_a_blocks_value_stands_below_the_line_as_it_is() -> None:
    block = {"id": "block-1", "label": "human", "value": "# x\n---\n\ty", "limit": 9, "tags": ["a"]}
    assert block_markdown(block).partition("\n---\n\n")[2] == "# x\n---\n\ty\n"


def test_the_index_names_agents_whatever_they_are_called() -> None:
    about = {"name": "[x](http://evil)\n# y", "id": ID, "description": None}
    (row,) = index_markdown([("a b)-1", about)]).splitlines()[-1:]
    assert row == f"- [\\[x\\](http://evil) \\# y](a%20b%29-1/) `{ID}`"
