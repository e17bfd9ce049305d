"""All that agents own, moved again, in part, and by processes that are killed."""

import random
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.letta_v1.databases import all_rows, differences, move, new_o, new_v1, start_move
from tests.letta_v1.moving import V1_KEY, line, told
from tests.letta_v1.owned import everything_owned
from tests.letta_v1.rows import V1
from tests.support.product import Product

ALL = ("--with-runs",)


@pytest.fixture(scope="module")
def v1(server: Product) -> Iterator[V1]:
    """Nobody changes it."""
    with new_v1(server) as database:
        everything_owned(database)
        yield database


@pytest.fixture
def o_url(server: Product) -> Iterator[str]:
    with new_o(server) as url:
        yield url


def run(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def without_marks(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without digests of what is encrypted, which is never twice the same."""
    return {table: found for table, found in rows.items() if table != "moved_rows"}


def test_every_row_is_here_or_has_a_reason(v1: V1, o_url: str) -> None:
    result = move(v1.url, o_url, *ALL, key=V1_KEY)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    for one in result["tables"]:
        left = sum(one["left"].values())
        assert one["unexplained"] == 0, one
        if one["here"] is not None and one["table"] not in ("passage_tags", "mcp_tools"):
            assert one["here"] + left == one["there"], one
        assert "not known" not in str(one["left"]), one


def test_twice_is_once(v1: V1, o_url: str) -> None:
    move(v1.url, o_url, *ALL, key=V1_KEY)
    before = all_rows(o_url)
    again = move(v1.url, o_url, *ALL, key=V1_KEY)
    assert differences(before, all_rows(o_url)) == {}
    assert {fate for one in again["tables"] for fate in one["fates"]} <= {
        "unchanged",
        "here already",
    }


@pytest.mark.chaos
def test_killed_at_any_moment_and_run_again_it_is_the_same(v1: V1, server: Product) -> None:
    with new_o(server) as whole_url, new_o(server) as cut_url:
        move(v1.url, whole_url, *ALL, key=V1_KEY)
        chance = random.Random(7)
        for _ in range(6):
            process = start_move(v1.url, cut_url, *ALL, key=V1_KEY)
            try:
                process.communicate(timeout=chance.uniform(0.7, 3.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate(timeout=30)
        result = move(v1.url, cut_url, *ALL, key=V1_KEY)
        assert (result["status"], result["whole"]) == (0, True), result["errors"]
        found = differences(without_marks(all_rows(whole_url)), without_marks(all_rows(cut_url)))
        # The default ones are made with each database.
        assert set(found) <= {"organizations", "users"}


def test_what_was_changed_here_stays(v1: V1, o_url: str) -> None:
    move(v1.url, o_url, key=V1_KEY)
    changes = {
        "tools": "UPDATE tools SET description = 'ours' WHERE name = 'first'",
        "providers": "UPDATE providers SET api_key = 'ours'",
        "archives": "UPDATE archives SET name = 'ours' WHERE name = 'archive 0'",
        "sources": "UPDATE folders SET instructions = 'ours'",
        "identities": "UPDATE identities SET name = 'ours'",
        "groups": "UPDATE groups SET description = 'ours'",
        "agent_environment_variables": "UPDATE tool_variables SET value = 'ours' WHERE key = 'OLD'",
    }
    for statement in changes.values():
        run(o_url, statement)
    result = move(v1.url, o_url, key=V1_KEY)
    assert result["status"] == 0
    for table in changes:
        assert line(result, table)["fates"].get("changed here"), table
    move(v1.url, o_url, "--overwrite", key=V1_KEY)
    ours = "SELECT count(*) FROM tools WHERE description = 'ours'"
    assert run(o_url, ours) == [(0,)]
    assert run(o_url, "SELECT count(*) FROM providers WHERE api_key = 'ours'") == [(0,)]
    assert run(o_url, "SELECT instructions FROM folders") == [("Look here first.",)]


def test_what_was_deleted_here_stays_deleted(v1: V1, o_url: str) -> None:
    move(v1.url, o_url, key=V1_KEY)
    ((passage,),) = run(o_url, "DELETE FROM passages WHERE id = (SELECT min(id) FROM passages "
                               "WHERE file_id IS NULL) RETURNING id")  # fmt: skip
    ((tool,),) = run(o_url, "DELETE FROM tools WHERE name = 'second' RETURNING id")
    result = move(v1.url, o_url, key=V1_KEY)
    for gone in (passage, tool):
        assert "deleted here" in told(result, gone)
    assert run(o_url, "SELECT count(*) FROM tools WHERE name = 'second'") == [(0,)]
    move(v1.url, o_url, "--overwrite", key=V1_KEY)
    assert run(o_url, "SELECT count(*) FROM tools WHERE name = 'second'") == [(1,)]
    counts = run(o_url, "SELECT bool_and(passage_count = (SELECT count(*) FROM passages "
                        "WHERE archive_id = archives.id)) FROM archives")  # fmt: skip
    assert counts == [(True,)]


def test_only_some_kinds_say_what_is_missing_for_them(v1: V1, o_url: str) -> None:
    result = move(v1.url, o_url, "--only", "passages", "--only", "runs", key=V1_KEY)
    assert result["status"] == 0, result["errors"]
    assert line(result, "archival_passages")["left"] == {"what it belongs to is not here": 63}
    result = move(v1.url, o_url, key=V1_KEY)
    assert line(result, "archival_passages")["here"] == 63


def test_a_dry_run_says_what_a_run_does(v1: V1, o_url: str) -> None:
    before = all_rows(o_url)
    dry = move(v1.url, o_url, "--dry-run", *ALL, key=V1_KEY)
    assert differences(before, all_rows(o_url)) == {}
    wet = move(v1.url, o_url, *ALL, key=V1_KEY)
    for one, two in zip(dry["tables"], wet["tables"], strict=True):
        assert (one["fates"], one["left"]) == (two["fates"], two["left"]), one["table"]
