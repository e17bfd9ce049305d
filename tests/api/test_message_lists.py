"""Lists of an agent's messages: V1's first page, and paging that reaches everything once."""

from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

_ALL: dict[str, Any] = {"limit": 10_000, "order": "asc"}


@pytest.fixture(scope="module")
def talked(client: Letta) -> AgentState:
    """An agent whose replies are shown as up to three messages with one id."""
    agent = client.agents.create(
        model=HANDLE, memory_blocks=[{"label": "human", "value": "Nothing is known yet."}]
    )
    both = call("memory_insert", label="human", new_string="x") | {"reasoning": "hm", "say": "so"}
    for text in (do(both, say("done")), "hello", do(both, both, say("ready")), "good bye"):
        client.agents.messages.create(agent.id, input=text)
    return agent


def shown(messages: Any) -> list[tuple[str, str]]:
    return [(message.id, message.message_type) for message in messages]


def everything(client: Letta, agent: AgentState) -> list[tuple[str, str]]:
    return shown(client.agents.messages.list(agent.id, **_ALL).items)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("order", [{}, {"order": "desc"}, {"order": "asc"}])
def test_iteration_reaches_every_message_once_in_every_order(
    client: Letta, talked: AgentState, limit: int, order: dict[str, Any]
) -> None:
    found = shown(client.agents.messages.list(talked.id, limit=limit, **order))
    assert sorted(found) == sorted(everything(client, talked))
    assert len(set(found)) == len(found) > 15
    if order == {"order": "asc"}:
        assert found == everything(client, talked)


@pytest.mark.parametrize("order", [{}, {"order": "desc"}])
def test_the_first_page_is_the_newest_with_its_oldest_ahead(
    client: Letta, talked: AgentState, order: dict[str, Any]
) -> None:
    page = shown(client.agents.messages.list(talked.id, limit=5, **order).items)
    assert page == everything(client, talked)[-len(page) :]
    assert len({message_id for message_id, _ in page}) == 5, "five stored messages, all their parts"
    assert len(page) > 5


def test_parts_of_one_message_are_never_split_over_pages(client: Letta, talked: AgentState) -> None:
    for order in ("asc", "desc"):
        seen: set[str] = set()
        for page in client.agents.messages.list(talked.id, limit=1, order=order).iter_pages():
            ids = {message.id for message in page.items}
            assert len(ids) <= 1, "the last page, which ends the paging, is empty"
            assert not ids & seen
            seen |= ids
        assert len(seen) > 10


def test_before_and_after_mean_time_as_in_v1(client: Letta, talked: AgentState) -> None:
    ids = list(dict.fromkeys(message_id for message_id, _ in everything(client, talked)))

    def listed(**asked: Any) -> list[str]:
        page = client.agents.messages.list(talked.id, **asked).items
        return list(dict.fromkeys(message.id for message in page))

    assert listed(before=ids[6], limit=3) == ids[3:6]
    assert listed(before=ids[6], limit=3, order="asc") == ids[0:3]
    assert listed(after=ids[6], limit=3, order="asc") == ids[7:10]
    assert listed(after=ids[2], before=ids[9], limit=3) == ids[6:9]
    assert listed(after=ids[2], before=ids[9], limit=3, order="asc") == ids[3:6]


def test_going_back_with_before_reaches_the_beginning(client: Letta, talked: AgentState) -> None:
    ids = [message_id for message_id, _ in everything(client, talked)]
    older = shown(client.agents.messages.list(talked.id, before=ids[-1], limit=2))
    assert sorted(older) == sorted(everything(client, talked)[:-1])


def test_after_alone_continues_with_the_page_before_the_one_that_ends_there(
    client: Letta, talked: AgentState
) -> None:
    first = client.agents.messages.list(talked.id, limit=4)
    second = client.agents.messages.list(talked.id, limit=4, after=first.items[-1].id)
    direct = client.agents.messages.list(talked.id, limit=4, before=first.items[0].id)
    assert shown(second.items) == shown(direct.items) != []


def test_a_message_that_comes_while_a_client_pages_changes_nothing_for_it(
    client: Letta,
) -> None:
    agent = client.agents.create(model=HANDLE)
    for n in range(3):
        client.agents.messages.create(agent.id, input=f"m{n}")
    before = everything(client, agent)
    pages = client.agents.messages.list(agent.id, limit=2).iter_pages()
    found = shown(next(pages).items)
    client.agents.messages.create(agent.id, input="in between")
    for page in pages:
        found += shown(page.items)
    assert sorted(found) == sorted(before)


@pytest.mark.parametrize(
    "wanted",
    [
        ["user_message"],
        ["assistant_message"],
        ["reasoning_message", "tool_return_message"],
        ["tool_call_message"],
        ["system_message"],
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_filter_by_type_leaves_no_page_short(
    client: Letta, talked: AgentState, wanted: list[Any], order: Any
) -> None:
    found = shown(
        client.agents.messages.list(
            talked.id, limit=2, order=order, include_return_message_types=wanted
        )
    )
    expected = [one for one in everything(client, talked) if one[1] in wanted]
    assert sorted(found) == sorted(expected) != []


def test_a_list_of_one_conversation_holds_no_other(
    client: Letta, server: Product, talked: AgentState
) -> None:
    server.query(
        "INSERT INTO conversations (id, organization_id, agent_id, is_default) "
        "SELECT replace(id, 'agent', 'conv'), organization_id, id, false FROM agents "
        "WHERE id = %s ON CONFLICT DO NOTHING",
        talked.id,
    )
    other = talked.id.replace("agent", "conv")
    server.query(
        "INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, "
        "parts, created_at) SELECT %s, organization_id, id, %s, 0, 'user', "
        '\'[{"type": "text", "text": "elsewhere"}]\', \'2020-01-01\' FROM agents WHERE id = %s '
        "ON CONFLICT DO NOTHING",
        new_id("message"),
        other,
        talked.id,
    )
    mixed = client.agents.messages.list(talked.id, **_ALL).items
    assert [getattr(mixed[0], "content", "")] == ["elsewhere"]
    own = client.agents.messages.list(talked.id, conversation_id="default", **_ALL).items
    assert shown(own) == shown(mixed[1:])
    (only,) = client.agents.messages.list(talked.id, conversation_id=other).items
    assert only.id == mixed[0].id
    assert client.agents.messages.list(talked.id, conversation_id=new_id("conv")).items == []
    with pytest.raises(NotFoundError):
        client.agents.messages.list(talked.id, conversation_id=other, after=own[0].id)
    server.query("DELETE FROM conversations WHERE id = %s", other)


def test_what_no_message_has_is_an_empty_list(client: Letta, talked: AgentState) -> None:
    assert client.agents.messages.list(talked.id, group_id="group-1").items == []
    none = client.agents.messages.list(talked.id, include_return_message_types=["summary_message"])
    assert none.items == []


def test_a_cursor_of_another_agent_is_404(client: Letta, talked: AgentState) -> None:
    other = client.agents.create(model=HANDLE)
    (theirs,) = client.agents.messages.list(other.id).items
    cursors: list[dict[str, Any]] = [
        {"after": theirs.id},
        {"before": theirs.id},
        {"before": "message-1"},
    ]
    for cursor in cursors:
        with pytest.raises(NotFoundError):
            client.agents.messages.list(talked.id, **cursor)


def test_a_limit_below_one_is_422_and_a_huge_one_is_taken_down(
    server: Product, talked: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{talked.id}/messages"
    assert httpx.get(url, params={"limit": 0}).status_code == 422
    assert httpx.get(url, params={"order": "random"}).status_code == 422
    assert len(httpx.get(url, params={"limit": 10**9}).json()) > 15


def test_a_message_cannot_be_changed(server: Product, talked: AgentState) -> None:
    url = f"{server.url}/v1/agents/{talked.id}/messages/{new_id('message')}"
    answer = httpx.patch(url, json={"content": "rewritten"})
    assert answer.status_code == 405
    assert isinstance(answer.json()["detail"], str)


def test_returns_that_are_not_shown_take_no_place_on_a_page(client: Letta, server: Product) -> None:
    """An agent of the legacy loop speaks by a tool, whose returns V1 does not show."""
    agent = client.agents.create(model=HANDLE)
    for n in range(6):
        server.query(
            "INSERT INTO messages (id, organization_id, agent_id, conversation_id, position, role, "
            "parts, tool_return) SELECT %s, organization_id, agent_id, id, %s + 1, "
            'CASE WHEN %s THEN \'tool\' ELSE \'user\' END, \'[{"type": "text", "text": "hi"}]\', '
            "CASE WHEN %s THEN jsonb_build_object('tool_call_id', 'c', 'name', 'send_message', "
            "'status', 'success', 'content', 'sent') END FROM conversations WHERE agent_id = %s",
            new_id("message"),
            n,
            n % 2 == 1,
            n % 2 == 1,
            agent.id,
        )
    for order in ("asc", "desc"):
        said = [m.message_type for m in client.agents.messages.list(agent.id, limit=1, order=order)]
        assert sorted(map(str, said)) == ["system_message", *["user_message"] * 3]
    whole = client.agents.messages.list(agent.id, use_assistant_message=False, **_ALL).items
    assert [message.message_type for message in whole] == [
        "system_message",
        *["user_message", "tool_return_message"] * 3,
    ]
