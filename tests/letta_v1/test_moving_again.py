"""What a second import does: nothing twice, and nothing to what was changed here."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.letta_v1.databases import all_rows, differences, move, new_o, start_move
from tests.letta_v1.moving import line
from tests.letta_v1.rows import V1
from tests.letta_v1.said import Said, everything_said, new_agent, new_conversation, plain
from tests.support.product import Product, eventually


@pytest.fixture
def o_url(server: Product) -> Iterator[str]:
    with new_o(server) as url:
        yield url


def _filled(v1: V1) -> Said:
    """Something of all that these tests change."""
    said = plain(new_agent(v1, "ada"))
    said.keep()
    block = v1.add("block", label="human", value="Nothing yet.", description="who")
    v1.add("blocks_agents", agent_id=said.agent_id, block_id=block, block_label="human")
    v1.add("agents_tags", agent_id=said.agent_id, tag="prod")
    beside = plain(new_conversation(said, summary="Title"))
    beside.keep()
    return said


def _run(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def test_counts_agree_table_by_table(v1: V1, o_url: str) -> None:
    everything_said(v1)
    result = move(v1.url, o_url)
    assert result["status"] == 0, result["errors"]
    assert result["whole"]
    for table in ("agents", "conversations", "conversation_messages", "organizations", "users"):
        found = line(result, table)
        assert found["here"] == found["there"], found
    found = line(result, "messages")
    assert found["here"] + sum(found["left"].values()) == found["there"]


def test_twice_is_once(v1: V1, o_url: str) -> None:
    everything_said(v1)
    _filled(v1)
    first = move(v1.url, o_url)
    before = all_rows(o_url)
    second = move(v1.url, o_url)
    assert second["status"] == 0
    assert differences(before, all_rows(o_url)) == {}
    for table in ("agents", "messages", "block", "conversations"):
        one, two = line(first, table), line(second, table)
        assert {"new"} == set(one["fates"])
        assert {"unchanged"} == set(two["fates"])
        assert (one["here"], one["left"]) == (two["here"], two["left"])


def test_a_dry_run_writes_nothing_and_says_the_same(v1: V1, o_url: str) -> None:
    everything_said(v1)
    before = all_rows(o_url)
    dry = move(v1.url, o_url, "--dry-run")
    assert differences(before, all_rows(o_url)) == {}
    wet = move(v1.url, o_url)
    for one, two in zip(dry["tables"], wet["tables"], strict=True):
        assert (one["fates"], one["left"]) == (two["fates"], two["left"]), one["table"]
    assert dry["told"] == wet["told"]


def test_what_was_changed_there_is_changed_here(v1: V1, o_url: str) -> None:
    said = _filled(v1)
    move(v1.url, o_url)
    v1.query("UPDATE block SET value = 'She likes tea.'")
    v1.query("UPDATE agents SET description = 'new'")
    said.user("One more")
    said.reply("Yes")
    said.keep()
    result = move(v1.url, o_url)
    assert result["status"] == 0
    assert line(result, "block")["fates"] == {"updated": 1}
    assert _run(o_url, "SELECT value, version FROM blocks") == [("She likes tea.", 2)]
    assert _run(o_url, "SELECT description FROM agents") == [("new",)]
    (own,) = _run(
        o_url,
        "SELECT array_agg(m.id ORDER BY position) FROM messages AS m JOIN conversations AS c "
        "ON c.id = conversation_id WHERE is_default",
    )
    assert own[0] == said.stored


def test_what_was_changed_here_stays_until_it_is_overwritten(v1: V1, o_url: str) -> None:
    _filled(v1)
    move(v1.url, o_url)
    _run(o_url, "UPDATE blocks SET value = 'Ours', version = version + 1")
    unchanged_there = move(v1.url, o_url)
    assert unchanged_there["status"] == 0
    assert line(unchanged_there, "block")["fates"] == {"changed here": 1}
    v1.query("UPDATE block SET value = 'Theirs'")
    both = move(v1.url, o_url)
    assert both["status"] == 3
    assert any("changed here since it was moved" in one["what"] for one in both["told"])
    assert _run(o_url, "SELECT value FROM blocks") == [("Ours",)]
    assert move(v1.url, o_url, "--overwrite")["status"] == 0
    assert _run(o_url, "SELECT value FROM blocks") == [("Theirs",)]
    assert line(move(v1.url, o_url), "block")["fates"] == {"unchanged": 1}


def test_a_conversation_that_went_on_here_is_not_taken_back(v1: V1, o_url: str) -> None:
    said = _filled(v1)
    move(v1.url, o_url)
    _run(
        o_url,
        "INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role) "
        "SELECT 'message-ours', organization_id, agent_id, id, next_position, 'user' "
        "FROM conversations WHERE is_default",
    )
    _run(o_url, "UPDATE conversations SET next_position = next_position + 1 WHERE is_default")
    said.user("Meanwhile in V1")
    said.keep()
    assert move(v1.url, o_url)["status"] == 3
    assert _run(o_url, "SELECT count(*) FROM messages WHERE id = 'message-ours'") == [(1,)]
    assert move(v1.url, o_url, "--overwrite")["status"] == 0
    assert _run(o_url, "SELECT count(*) FROM messages WHERE id = 'message-ours'") == [(0,)]


@pytest.mark.parametrize(
    ("there", "here", "look"),
    [
        (
            "UPDATE conversations SET summary = 'Theirs'",
            "UPDATE conversations SET next_position = next_position + 1 WHERE NOT is_default",
            "SELECT max(next_position) FROM conversations WHERE NOT is_default",
        ),
        (
            "UPDATE block SET value = 'Theirs'",
            "UPDATE blocks SET value = 'Ours', version = version + 1",
            "SELECT value FROM blocks",
        ),
        (
            "UPDATE agents SET description = 'Theirs'",
            "UPDATE agents SET description = 'Ours'",
            "SELECT description FROM agents",
        ),
    ],
    ids=("said", "remembered", "set"),
)
def test_what_is_changed_here_while_it_is_moved_again_stays(
    v1: V1, o_url: str, there: str, here: str, look: str
) -> None:
    _filled(v1)
    move(v1.url, o_url)
    v1.query(there)
    with psycopg.connect(o_url) as ours:
        ours.execute(here.encode())
        process = start_move(v1.url, o_url)
        waits = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        eventually(lambda: _run(o_url, waits)[0][0], what="the import waits")
        changed = ours.execute(look.encode()).fetchall()
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 3, errors
    assert "changed here since it was moved, and there too" in out
    assert _run(o_url, look) == changed


def test_what_was_deleted_there_stays_and_is_told(v1: V1, o_url: str) -> None:
    said = _filled(v1)
    move(v1.url, o_url)
    v1.query("DELETE FROM blocks_agents")
    v1.query("DELETE FROM block")
    result = move(v1.url, o_url)
    assert any("deleted there" in one["what"] for one in result["told"])
    assert _run(o_url, "SELECT count(*) FROM blocks") == [(1,)]
    assert said.agent_id


def test_what_was_deleted_here_stays_deleted_until_it_is_overwritten(v1: V1, o_url: str) -> None:
    _filled(v1)
    move(v1.url, o_url)
    _run(o_url, "DELETE FROM blocks")
    assert line(move(v1.url, o_url), "block")["fates"] == {"deleted here": 1}
    assert _run(o_url, "SELECT count(*) FROM blocks") == [(0,)]
    move(v1.url, o_url, "--overwrite")
    assert _run(o_url, "SELECT value FROM blocks") == [("Nothing yet.",)]


def test_equal_names_and_labels_of_organizations_stay_apart(v1: V1, o_url: str) -> None:
    other = v1.add("organizations", name="Acme Zürich")
    for organization in (None, other):
        own = {"organization_id": organization} if organization else {}
        v1.add("users", name="bea", **own)
        said = plain(new_agent(v1, "twin", **own))
        said.keep()
        block = v1.add("block", label="human", value="x" * 30_000, **own)
        v1.add("blocks_agents", agent_id=said.agent_id, block_id=block, block_label="human")
    assert move(v1.url, o_url)["status"] == 0
    owners = _run(
        o_url,
        "SELECT count(DISTINCT a.organization_id), bool_and(a.organization_id = b.organization_id) "
        "FROM agents AS a JOIN agent_blocks ON agent_id = a.id JOIN blocks AS b ON b.id = block_id",
    )
    assert owners == [(2, True)]


def test_odd_rows_are_moved_or_told_of(v1: V1, o_url: str) -> None:
    """What nobody should have stored, and somebody has."""
    deep = "[" * 5_000 + "]" * 5_000
    agents = [
        new_agent(v1, name) for name in ("nul", "deep", "none", "huge", "elsewhere", "flagged")
    ]
    nul, too_deep, none, huge, elsewhere, flagged = (plain(agent) for agent in agents)
    for said in (nul, too_deep, none, huge, elsewhere, flagged):
        said.keep()
    v1.query(
        "UPDATE messages SET content = %s::json WHERE id = %s",
        '[{"type": "text", "text": "a\\u0000b \\ud800"}]',
        nul.stored[1],
    )
    v1.query("UPDATE messages SET content = %s::json WHERE id = %s", deep, too_deep.stored[1])
    v1.query("UPDATE agents SET llm_config = NULL, agent_type = NULL, timezone = 'Nowhere/Land', "
             "tool_rules = NULL, metadata_ = NULL WHERE id = %s", none.agent_id)  # fmt: skip
    v1.query(
        "UPDATE messages SET content = %s::json WHERE id = %s",
        '[{"type": "text", "text": "' + "long " * 400_000 + '"}]',
        huge.stored[1],
    )
    v1.query("UPDATE agents SET organization_id = 'org-gone' WHERE id = %s", elsewhere.agent_id)
    v1.query("UPDATE agents SET is_deleted = true WHERE id = %s", flagged.agent_id)
    v1.add("block", label="a/ü/ " + "x" * 300, value="")
    result = move(v1.url, o_url)
    assert result["status"] == 0, result["errors"]
    assert result["whole"]
    assert line(result, "agents")["left"] == {
        "its organization is not there": 1,
        "flagged as deleted": 1,
    }
    assert _run(
        o_url, "SELECT parts -> 0 ->> 'text' FROM messages WHERE id = %s", nul.stored[1]
    ) == [("a\N{REPLACEMENT CHARACTER}b \N{REPLACEMENT CHARACTER}",)]


def test_a_role_that_may_only_read_is_enough(v1: V1, o_url: str) -> None:
    _filled(v1)
    v1.query("DROP ROLE IF EXISTS only_reads")
    v1.query("CREATE ROLE only_reads LOGIN")
    v1.query("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reads")
    url = v1.url.replace("//o@", "//only_reads@")
    try:
        assert move(url, o_url)["status"] == 0
    finally:
        v1.query("DROP OWNED BY only_reads")
        v1.query("DROP ROLE only_reads")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE alembic_version SET version_num = '0ceb975e0063'", "V1's own migrations"),
        ("DELETE FROM alembic_version", "revision none"),
        ("DROP TABLE alembic_version", "no database of a Letta V1 server"),
        ("ALTER TABLE messages DROP COLUMN approvals", "messages.approvals"),
        ("DROP TABLE blocks_conversations", "blocks_conversations"),
    ],
)
def test_what_is_no_known_v1_database_is_refused(
    v1: V1, o_url: str, statement: str, words: str
) -> None:
    _filled(v1)
    v1.query(statement)
    before = all_rows(o_url)
    result = move(v1.url, o_url)
    assert result["status"] == 1
    assert words in result["errors"]
    assert "Traceback" not in result["errors"]
    assert differences(before, all_rows(o_url)) == {}


def test_two_imports_at_once_do_not_meet(v1: V1, o_url: str) -> None:
    _filled(v1)
    lock = psycopg.connect(v1.url)
    lock.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    first = start_move(v1.url, o_url)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    eventually(lambda: _run(v1.url, waits)[0][0], what="the first import waits")
    second = move(v1.url, o_url)
    assert second["status"] == 1
    assert "another import is under way" in second["errors"]
    lock.close()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_table_of_another_release_is_told_of(v1: V1, o_url: str) -> None:
    v1.query("CREATE TABLE of_the_future (id int)")
    v1.query("INSERT INTO of_the_future VALUES (1)")
    found = line(move(v1.url, o_url), "of_the_future")
    assert found["left"] == {"not known to this release": 1}
