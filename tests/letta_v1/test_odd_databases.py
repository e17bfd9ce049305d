"""V1 databases as people have them: copied in part, old in places, spelled and reached oddly."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from server.letta_import.source import open_source
from tests.letta_v1.databases import all_rows, differences, move, new_o, start_move
from tests.letta_v1.moving import V1_KEY, line
from tests.letta_v1.owned import everything_owned
from tests.letta_v1.rows import V1
from tests.letta_v1.said import new_agent, new_conversation, plain
from tests.letta_v1.schema import TABLES, json_columns
from tests.support.product import Product, eventually

_OF_NOTHING = "what it belongs to is not there"


@pytest.fixture
def o_url(server: Product) -> Iterator[str]:
    with new_o(server) as url:
        yield url


def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        return connection.execute(statement.encode()).fetchall()


def test_rows_that_belong_to_nothing_are_left_out_and_stop_nobody(v1: V1, o_url: str) -> None:
    gone, (agent,) = "gone", everything_owned(v1, 1)
    block = v1.add("block", label="x", value="")
    message = v1.query("SELECT id FROM messages LIMIT 1")[0][0]
    links: dict[str, dict[str, Any]] = {
        "agents_tags": {"agent_id": gone, "tag": "x"},
        "blocks_agents": {"agent_id": gone, "block_id": block, "block_label": "x"},
        "tools_agents": {"agent_id": gone, "tool_id": gone},
        "archives_agents": {"agent_id": gone, "archive_id": gone},
        "passage_tags": {"passage_id": gone, "archive_id": gone, "tag": "x"},
        "block_history": {"block_id": gone, "label": "", "value": "", "limit": 1}
        | {"sequence_number": 1},
        "blocks_tags": {"block_id": gone, "tag": "x"},
        "conversation_messages": {"conversation_id": None, "agent_id": agent, "position": 0}
        | {"message_id": message, "in_context": True},
        "sources_agents": {"agent_id": gone, "source_id": gone},
        "files_agents": {"agent_id": gone, "file_id": gone, "file_name": "", "source_id": gone},
        "groups_agents": {"group_id": gone, "agent_id": agent},
        "groups_blocks": {"group_id": gone, "block_id": block},
        "identities_agents": {"identity_id": gone, "agent_id": agent},
        "identities_blocks": {"identity_id": gone, "block_id": block},
        "mcp_tools": {"mcp_server_id": gone, "tool_id": gone},
    }
    for table, columns in links.items():
        v1.add(table, **columns)
    result = move(v1.url, o_url)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    for table in links:
        assert line(result, table)["left"].get(_OF_NOTHING) == 1, table
    assert move(v1.url, o_url)["status"] == 0


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("1970-01-01 00:00:00+00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-02 00:00:00+00", datetime(1, 1, 2, tzinfo=UTC)),
        ("9999-12-30 00:00:00+00", datetime(9999, 12, 30, tzinfo=UTC)),
        ("infinity", datetime(9999, 1, 1, tzinfo=UTC)),
        ("0044-03-15 00:00:00+00 BC", datetime(2, 1, 1, tzinfo=UTC)),
        (None, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
    ids=("epoch", "first", "last", "infinite", "before", "none"),
)
def test_things_of_any_time_are_moved(
    v1: V1, o_url: str, there: str | None, here: datetime
) -> None:
    everything_owned(v1, 1)
    plain(new_conversation(plain(new_agent(v1, "ada")))).keep()
    for table, columns in TABLES.items():
        if "created_at timestamptz" in columns and table != "archives_agents":
            v1.query(f"UPDATE {table} SET created_at = %s, updated_at = %s", there, there)
    result = move(v1.url, o_url, "--with-runs")
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    assert not any("does not take" in why for one in result["tables"] for why in one["left"])
    for table in ("agents", "conversations", "messages", "blocks", "passages", "files", "runs"):
        assert _rows(o_url, f"SELECT DISTINCT created_at FROM {table}") == [(here,)], table


@pytest.mark.parametrize("value", ["null", '"x"', "[]", "{}", "[null, [], {}]", "true", "1e400"])
def test_json_of_any_type_in_any_column_hurts_nobody(v1: V1, o_url: str, value: str) -> None:
    agents = everything_owned(v1, 1)
    beside = plain(new_conversation(plain(new_agent(v1, "ada"))))
    beside.keep()
    for table in TABLES:
        for column in json_columns(table):
            v1.query(f"UPDATE {table} SET {column} = %s", value)
    result = move(v1.url, o_url, "--with-runs")
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    assert line(result, "agents")["here"] == len(agents) + 1


def test_characters_that_postgresql_stores_in_no_jsonb_are_replaced(v1: V1, o_url: str) -> None:
    (agent,) = everything_owned(v1, 1)
    odd = json.dumps({"a\x00": ["b\x00", "\ud800"]})
    for table, column in (
        ("agents", "metadata_"),
        ("block", "metadata_"),
        ("mcp_server", "metadata_"),
        ("tools", "metadata_"),
        ("archives", "metadata_"),
        ("sources", "metadata_"),
        ("archival_passages", "metadata_"),
    ):
        v1.query(f"UPDATE {table} SET {column} = %s", odd)
    result = move(v1.url, o_url, key=V1_KEY)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    ((kept,),) = _rows(o_url, f"SELECT metadata FROM agents WHERE id = '{agent}'")
    assert kept == {"a\ufffd": ["b\ufffd", "\ufffd"]}
    before = all_rows(o_url)
    assert move(v1.url, o_url, key=V1_KEY)["status"] == 0
    assert differences(before, all_rows(o_url)) == {}


def test_an_agent_that_lists_no_messages_has_its_history_and_all_is_counted(
    v1: V1, o_url: str
) -> None:
    said = plain(new_agent(v1, "ada"))
    said.keep()
    v1.query("UPDATE agents SET message_ids = NULL")
    v1.query("UPDATE messages SET conversation_id = 'conv-gone' WHERE id = %s", said.stored[-1])
    result = move(v1.url, o_url)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    assert line(result, "messages")["left"] == {"its conversation was deleted": 1}


def test_groups_and_identities_of_kinds_that_are_gone_are_kept(v1: V1, o_url: str) -> None:
    agent = v1.add_agent("ada")
    group = v1.add("groups", manager_type="swarm", agent_ids="x", hidden=None)
    v1.add("groups_agents", group_id=group, agent_id=agent)
    v1.add("identities", identifier_key="k", name="", identity_type="robot", properties={"a": 1})
    result = move(v1.url, o_url)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    assert _rows(o_url, "SELECT manager_type FROM groups") == [("round_robin",)]
    assert _rows(o_url, "SELECT name, identity_type FROM identities") == [("k", "other")]


def test_a_schema_of_another_name_is_read_through_an_address_as_python_servers_spell_it(
    v1: V1, o_url: str
) -> None:
    everything_owned(v1, 1)
    v1.query("CREATE SCHEMA types")
    v1.query("ALTER EXTENSION vector SET SCHEMA types")
    v1.query("ALTER SCHEMA public RENAME TO letta")
    options = quote("-c search_path=letta -c statement_timeout=60000")
    address = urlsplit(v1.url)
    spelled = address._replace(
        scheme="postgresql+asyncpg",
        query=f"{address.query}&ssl=disable&prepared_statement_cache_size=0&options={options}",
    ).geturl()
    result = move(f" {spelled}\n", o_url)
    assert (result["status"], result["whole"]) == (0, True), result["errors"]
    assert _rows(o_url, "SELECT count(*) > 0 FROM passage_vectors") == [(True,)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////root/.letta/sqlite.db", "export its agents as agent files"),
        ("mysql://v1@127.0.0.1/v1", "V1_DATABASE_URL is not the address of a PostgreSQL"),
        ("postgresql://v1:se@cret@127.0.0.1/v1", "the password in V1_DATABASE_URL"),
        ("postgresql://v1:secret@127.0.0.1:1/v1", "the V1 database cannot be reached"),
    ],
)
def test_an_address_that_is_none_of_v1s_is_refused_in_one_line(
    o_url: str, url: str, words: str
) -> None:
    result = move(url, o_url)
    assert result["status"] == 1
    (said,) = result["errors"].splitlines()
    assert words in said
    assert "cret" not in said


def test_an_import_that_loses_v1_in_the_middle_goes_on_where_it_was(v1: V1, o_url: str) -> None:
    everything_owned(v1, 1)
    plain(new_agent(v1, "ada")).keep()
    with psycopg.connect(v1.url) as lock:
        lock.execute("LOCK TABLE identities IN ACCESS EXCLUSIVE MODE")
        process = start_move(v1.url, o_url)
        waits = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database() AND application_name = 'o import letta'"
        )
        eventually(lambda: v1.query(waits), what="the import waits")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "run it again to go on" in errors
    assert "Traceback" not in errors
    again = move(v1.url, o_url)
    assert (again["status"], again["whole"]) == (0, True), again["errors"]
    assert line(again, "tools")["fates"].get("new", 0) == 0
    assert line(again, "identities")["fates"] == {"new": 1}


def test_v1_is_read_without_statements_that_a_pooler_would_keep(v1: V1) -> None:
    with open_source(v1.url) as source:
        for _ in range(10):
            (found,) = source.all("SELECT count(*) AS n FROM pg_prepared_statements")
    assert found["n"] == 0
