"""The oldest and the newest release of the official client hear the same, and understand it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients import archival, conversation, functions
from tests.support.product import Product
from tests.support.provider import HANDLE

OLD, NEW = "1.7.12", "1.12.1"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d| [AP]M)?")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_CALL_ID = re.compile(r"call_[0-9a-f]{32}")
_NANOSECONDS = re.compile(r'("\w+_ns": )\d+')

# What neither client has a field for: V1 sends the organization all the same, `step_count`,
# `approval_timeout_s`, costs, versions of blocks and three fields of tools are O's additions, and
# the parser came to V1 after the older release.
_UNKNOWN = {
    "AgentState": {
        "approval_timeout_s",
        "blocks.version",
        "memory.blocks.version",
        *(f"tools.{name}" for name in ("allowed_hosts", "is_idempotent", "problem")),
    },
    "BlockResponse": {"version"},
    "Step": {"organization_id", "cost_usd"},
    "MetricRetrieveResponse": {"organization_id"},
    "UsageRetrieveResponse": {"step_count", "cost_usd", "unpriced_steps"},
}
_UNKNOWN_TO = {NEW: _UNKNOWN, OLD: _UNKNOWN | {"Model": {"tool_call_parser"}}}


def speak(server: Product, release: str) -> dict[str, Any]:
    """The transcript of the conversation with that release."""
    return run(release, conversation.__file__, server.url, HANDLE)


def run(release: str, *script: str) -> dict[str, Any]:
    """What a script prints that uses that release."""
    older = Path(sys.prefix) / "clients" / release
    path = [str(older)] if release != NEW else []
    done = subprocess.run(
        [sys.executable, *script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def alike(entries: list[dict[str, Any]]) -> list[str]:
    """The entries with ids numbered by their first appearance, and without times."""
    seen: dict[str, str] = {}
    text = _TIME.sub(
        "TIME", "\n".join(json.dumps(entry["answer"], sort_keys=True) for entry in entries)
    )
    text = _NANOSECONDS.sub(r"\1NS", text)
    text = _CALL_ID.sub(lambda found: seen.setdefault(found[0], f"CALL{len(seen)}"), text)
    return _ID.sub(lambda found: seen.setdefault(found[0], f"ID{len(seen)}"), text).split("\n")


@pytest.fixture(scope="module")
def transcripts(server: Product) -> dict[str, dict[str, Any]]:
    return {release: speak(server, release) for release in (OLD, NEW)}


def test_each_conversation_was_held_with_the_release_it_is_about(
    transcripts: dict[str, dict[str, Any]],
) -> None:
    assert {release: kept["release"] for release, kept in transcripts.items()} == {
        OLD: OLD,
        NEW: NEW,
    }


def test_both_releases_hear_the_same(transcripts: dict[str, dict[str, Any]]) -> None:
    old, new = (alike(transcripts[release]["entries"]) for release in (OLD, NEW))
    for told_old, told_new in zip(old, new, strict=True):
        assert told_old == told_new


@pytest.mark.parametrize("release", [OLD, NEW])
def test_nothing_is_sent_that_v1_does_not_send(
    transcripts: dict[str, dict[str, Any]], release: str
) -> None:
    unknown: dict[str, set[str]] = {}
    for entry in transcripts[release]["entries"]:
        if entry["unknown"]:
            unknown.setdefault(entry["type"], set()).update(entry["unknown"])
    assert unknown == _UNKNOWN_TO[release]


def test_the_conversation_went_as_it_should(transcripts: dict[str, dict[str, Any]]) -> None:
    entries = transcripts[OLD]["entries"]

    def types(what: str) -> list[str]:
        return [e["answer"]["message_type"] for e in entries if e["what"] == what]

    assert types("page") == [
        "system_message",
        "user_message",
        "reasoning_message",
        "assistant_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        *["user_message", "assistant_message"] * 2,
    ]
    streamed = ["ping", "assistant_message", "stop_reason", "usage_statistics"]
    assert types("streamed") == types("token") == streamed
    failures = {e["what"]: e["answer"]["status"] for e in entries if e["type"].endswith("Error")}
    assert failures == {"refused call": 401, "malformed id": 422, "deleted agent": 404}


def test_functions_become_the_same_tools_with_both_releases(server: Product) -> None:
    old, new = (run(release, functions.__file__, server.url) for release in (OLD, NEW))
    assert (old["release"], new["release"]) == (OLD, NEW)
    assert [tool["name"] for tool in old["tools"]] == ["roll_dice", "move_piece"]
    assert new["tools"] == old["tools"], "with the same ids: one has stored the other's anew"
    dice, move = old["tools"]
    assert (dice["tags"], dice["json_schema"]["parameters"]["required"]) == (["first"], [])
    assert move["json_schema"]["parameters"]["required"] == ["piece"]
    assert list(move["json_schema"]["parameters"]["properties"]) == ["piece", "squares"]


@pytest.mark.parametrize("release", [OLD, NEW])
def test_archives_are_used_the_same_way_with_both_releases(server: Product, release: str) -> None:
    printed = run(release, archival.__file__, server.url, HANDLE)
    assert printed["release"] == release
    assert printed["told"] == {
        "renamed": ["renamed", "x", "renamed"],
        "found": True,
        "listed": [["two", [], {}], ["four", [], {}]],
        "left": ["one", "two"],
        "detached": 0,
        "deleted": 404,
    }
