"""Whatever a text is, its words are found out: no text fails to be stored for its words."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o.storage.database import libpq_url
from tests.support.product import Product

_STORABLE = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])


@pytest.fixture(scope="module")
def connection(server: Product) -> Iterator[psycopg.Connection[Any]]:
    url = libpq_url(server.state["database_url"])
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def terms(connection: psycopg.Connection[Any], text: str) -> list[str]:
    rows = connection.execute("SELECT tsvector_to_array(o_search_terms(%s))", [text]).fetchall()
    found: list[str] = rows[0][0]
    return found


@settings(max_examples=150, deadline=None)
@given(st.text(_STORABLE))
def test_no_text_is_too_odd(connection: psycopg.Connection[Any], text: str) -> None:
    assert not any(term.startswith("@") for term in terms(connection, text))


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0x4E00, 0x9FFF))) * 5,  # every pair of neighbours another word
        "".join(map(chr, range(0x20000, 0x2FFFF))),
        " ".join(f"w{n}" for n in range(200_000)),
        "aB" * 100_000,
        " ".join(f"aB{n}cD" for n in range(20_000)),
        "\ufdfa" * 65_536,  # eighteen characters each, once it is taken apart
        "e\u0301" * 100_000,
        "x" * 1_000_000,
        "http://" + "a/" * 100_000,
        "<" * 100_000,
        "👩\u200d" * 50_000,
    ],
    ids=range(11),
)
def test_no_text_is_too_long(connection: psycopg.Connection[Any], text: str) -> None:
    assert all(len(term.encode()) <= 2_046 for term in terms(connection, text))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("getUserName parse_invoice_header", {"getusernam", "get", "user", "name", "invoic"}),
        ("Naïve CAFÉ", {"naiv", "cafe"}),
        ("東京都", {"東", "東京", "京都"}),
        ("ЁЛКА", {"елк"}),
        ("ｆｕｌｌ ｗｉｄｔｈ", {"full", "width"}),
        ("“quoted”—dashed", {"quot", "dash"}),
        ("-5 3.14 1e5 v1.2.3", {"5", "3", "14", "1e5", "v1", "2"}),
        ("<b>bold</b> &amp; a@b.example", {"bold", "exampl"}),
        ("the of", {"the", "of"}),
    ],
)
def test_words_are_what_people_look_for(
    connection: psycopg.Connection[Any], text: str, held: set[str]
) -> None:
    assert held - set(terms(connection, text)) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"message": "a fig"}', "a fig"),
        ("a fig", "a fig"),
        ("[" * 200_000 + " a fig", "[" * 200_000 + " a fig"),
        ('{"message": "a fig", "more": ' + "[" * 200_000 + "]" * 200_000 + "}", None),
    ],
    ids=["as it is to be", "no JSON", "deep and open", "deep"],
)
def test_what_an_agent_says_by_a_call_is_told_whatever_it_writes(
    connection: psycopg.Connection[Any], arguments: str, said: str | None
) -> None:
    row = {"parts": [], "tool_calls": [{"name": "send_message", "arguments": arguments}]}
    asked = "SELECT o_message_said(one) FROM jsonb_populate_record(NULL::messages, %s::jsonb) one"
    told = connection.execute(asked, [json.dumps(row)]).fetchall()
    assert told == [(arguments if said is None else said,)]
