"""How many SQL statements an operation costs, as the database itself counts them."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx
import pytest
from letta_client import NotFoundError

from o.ids import new_id
from tests.support.chats import speak
from tests.support.embedding_vendor import embedding_vendor
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say
from tests.support.statements import StatementLog, log_statements
from tests.support.statements import statements_of as sent_by
from tests.support.tools import make_tool

_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")
_OF_NEW_CONNECTIONS = "SET enable_bitmapscan = off"


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose sweeper rests, with one process of each kind and every statement logged."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_SWEEP_INTERVAL_S": "3600",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("statements") / "o", env)
    product.start()
    # Until then `o up` asks the API whether workers have tried their sandbox.
    eventually(lambda: "Tools:" in product.log_path.read_text(), what="word of the sandbox")
    log_statements(product)
    yield product
    product.stop()


def statements_of(product: Product, operation: Callable[[], object]) -> list[str]:
    """What a repetition of the operation sends: the second time, nothing is asked once only."""
    operation()
    sent = [f"{how}: {text}" for how, text in sent_by(product, operation)]
    return [one for one in sent if not one.endswith(_OF_NEW_CONNECTIONS)]


def without_control(statements: list[str]) -> list[str]:
    return [s for s in statements if not s.split(": ", 1)[1].startswith(_CONTROL)]


def test_an_agent_is_retrieved_in_one_statement(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    include: Any = ["agent.blocks", "agent.tools", "agent.tags"]
    sent = statements_of(product, lambda: client.agents.retrieve(agent.id, include=include))
    assert len(sent) == 1, sent


def test_an_agent_that_is_not_there_costs_no_connection(product: Product) -> None:
    def look() -> None:
        with pytest.raises(NotFoundError):
            product.client().agents.retrieve(new_id("agent"))

    look()
    sent = [text for _, text in sent_by(product, look)]
    assert len(sent) == 1, sent


def test_agents_are_listed_in_one_statement_and_pages_in_one_more(product: Product) -> None:
    client = product.client()
    agents = [client.agents.create(model=HANDLE, tags=["paged"]).id for _ in range(3)]
    first = statements_of(product, lambda: client.agents.list(tags=["paged"], limit=2))
    assert len(first) == 1, first
    cursor = agents[1]
    second = statements_of(product, lambda: client.agents.list(tags=["paged"], after=cursor))
    assert len(second) == 2, second
    between = {"after": agents[2], "before": agents[0], "order": "desc"}
    third = statements_of(
        product, lambda: client.get("/v1/agents/", cast_to=object, options={"params": between})
    )
    assert len(third) == 2, "both cursors are looked up at once"


def test_blocks_are_read_in_one_statement_and_changed_in_one_transaction(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    block_id = str(agent.blocks[0].id)
    for look in (
        lambda: client.blocks.retrieve(block_id),
        lambda: client.blocks.list(label="human"),
        lambda: client.agents.blocks.list(agent.id),
        lambda: client.agents.blocks.retrieve("human", agent_id=agent.id),
    ):
        sent = statements_of(product, look)
        assert len(sent) == 1, sent
    sent = statements_of(product, lambda: client.blocks.update(block_id, value="y"))
    assert len(without_control(sent)) == 1, sent


def test_tools_are_read_in_one_statement_and_two_with_a_cursor(product: Product) -> None:
    client = product.client()
    tool = make_tool(client)
    agent = client.agents.create(model=HANDLE, tool_ids=[tool.id])
    include: Any = ["agent.blocks", "agent.tools", "agent.tags"]
    for ask, count in (
        (lambda: client.tools.retrieve(tool.id), 1),
        (lambda: client.tools.list(name=str(tool.name)), 1),
        (lambda: client.tools.search(query=str(tool.name)), 1),
        (lambda: client.tools.list(after=tool.id), 2),
        (lambda: client.agents.retrieve(agent.id, include=include), 1),
        (lambda: client.agents.tools.list(agent.id), 2),
    ):
        sent = statements_of(product, ask)
        assert len(sent) == count, sent


def test_tools_of_ones_own_cost_a_turn_no_statement(product: Product) -> None:
    client = product.client()
    tools = [make_tool(client).id for _ in range(2)]
    counts = []
    for given in ([], tools):
        agent = client.agents.create(model=HANDLE, tool_ids=given)
        sent = statements_of(product, lambda: client.agents.messages.create(agent.id, input="hi"))  # noqa: B023
        counts.append(len(without_control(sent)))
    assert counts[0] == counts[1]


def test_folders_and_their_files_are_read_in_few_statements(product: Product) -> None:
    client = product.client()
    folder = client.folders.create(name=new_id("folder"))
    file = ("a.txt", b"x", "text/plain")
    files = [client.folders.files.upload(folder.id, file=file).id for _ in range(3)]
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]})
    unread = "SELECT id FROM files WHERE processing_status <> 'completed'"
    eventually(lambda: not product.query(unread), what="files that are read", within_s=60)

    def get(path: str) -> None:
        client.get(path, cast_to=object)

    for ask, count in (
        (lambda: client.folders.retrieve(folder.id), 1),
        (lambda: client.folders.list(name=folder.name), 1),
        (lambda: client.folders.list(after=folder.id), 2),
        (lambda: get("/v1/folders/count"), 1),
        (lambda: get("/v1/folders/metadata"), 1),
        (lambda: get("/v1/folders/metadata?include_detailed_per_source_metadata=true"), 2),
        (lambda: client.folders.files.list(folder.id), 2),
        (lambda: client.folders.files.list(folder.id, after=files[0]), 3),
        (lambda: client.folders.files.list(folder.id, include_content=True), 3),
        (lambda: client.folders.files.retrieve(files[0], folder_id=folder.id), 1),
        (lambda: get(f"/v1/folders/{folder.id}/passages"), 3),
        (lambda: client.folders.agents.list(folder.id), 2),
        (lambda: client.agents.folders.list(agent.id), 2),
        (lambda: client.agents.files.list(agent.id), 3),
    ):
        sent = statements_of(product, ask)
        assert len(without_control(sent)) <= count, sent


def test_a_folder_is_taken_from_many_agents_in_as_many_statements_as_from_one(
    product: Product,
) -> None:
    client = product.client()
    counts = []
    before = [tool.name for tool in client.agents.tools.list(client.agents.create(model=HANDLE).id)]
    for held_by in (1, 4):
        folders = [client.folders.create(name=new_id("folder")).id for _ in range(2)]
        body = {"folder_ids": folders}
        agents = [client.agents.create(model=HANDLE, extra_body=body).id for _ in range(held_by)]
        left = iter(folders)
        sent = statements_of(product, lambda: client.folders.delete(next(left)))  # noqa: B023
        counts.append(len(without_control(sent)))
        for id_ in agents:
            assert [tool.name for tool in client.agents.tools.list(id_)] == before
    assert counts[0] == counts[1]


def test_a_tool_is_taken_from_many_agents_in_as_many_statements_as_from_one(
    product: Product,
) -> None:
    client = product.client()

    def delete_from(count: int) -> int:
        tool = make_tool(client)
        name = str(tool.name)
        rules: Any = [
            {"type": "exit_loop", "tool_name": name},
            {"type": "exit_loop", "tool_name": "memory_insert"},
        ]
        agents = [
            client.agents.create(model=HANDLE, tool_ids=[tool.id], tool_rules=rules)
            for _ in range(count)
        ]
        sent = sent_by(product, lambda: client.tools.delete(tool.id))
        for agent in agents:
            left = client.agents.retrieve(agent.id, include=["agent.tools"])
            assert name not in [one.name for one in left.tools]
            assert [rule.tool_name for rule in left.tool_rules or []] == ["memory_insert"]
        return len(sent)

    delete_from(1)
    assert delete_from(5) == delete_from(1)


def test_messages_are_listed_in_one_statement_and_two_with_a_cursor(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE)
    client.agents.messages.create(agent.id, input="hello")
    sent = statements_of(product, lambda: client.agents.messages.list(agent.id, limit=10))
    assert len(sent) == 1, sent
    newest = client.agents.messages.list(agent.id).items[-1].id
    paged = statements_of(product, lambda: client.agents.messages.list(agent.id, after=newest))
    assert len(paged) == 2, paged


def test_runs_and_steps_are_read_in_one_or_two_statements(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE)
    client.agents.messages.create(agent.id, input="hello")
    (run,) = client.runs.list(agent_id=agent.id)
    (step,) = client.steps.list(agent_id=agent.id)
    for ask, count in (
        (lambda: client.runs.list(agent_id=agent.id), 1),
        (lambda: client.runs.retrieve(run.id), 1),
        (lambda: client.runs.usage.retrieve(run.id), 1),
        (lambda: client.runs.messages.list(run.id), 2),
        (lambda: client.runs.steps.list(run.id), 2),
        (lambda: client.steps.retrieve(step.id), 1),
        (lambda: client.steps.metrics.retrieve(step.id), 2),
    ):
        sent = statements_of(product, ask)
        assert len(sent) == count, sent


def test_a_turn_of_one_step_costs_four_statements(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    sent = statements_of(product, lambda: client.agents.messages.create(agent.id, input="hi"))
    assert 3 <= len(sent) <= 4, sent
    repeated = [s for s in without_control(sent) if not s.startswith("execute _pg3")]
    assert repeated == [], "statements that repeat are prepared"


def test_a_turn_in_a_conversation_costs_no_more(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    labels = {"isolated_block_labels": ["human"]}
    made = client.conversations.create(agent_id=agent.id, model=HANDLE, extra_body=labels)
    sent = statements_of(product, lambda: speak(client, made.id, "hi"))
    assert 3 <= len(sent) <= 4, sent


@pytest.mark.parametrize(("kind", "more"), [("exit_loop", 0), ("required_before_exit", 1)])
def test_rules_cost_a_statement_only_when_they_ask_what_was_called(
    product: Product, kind: Any, more: int
) -> None:
    client = product.client()
    plain = client.agents.create(model=HANDLE)
    ruled = client.agents.create(
        model=HANDLE, tool_rules=[{"type": kind, "tool_name": "memory_replace"}]
    )
    one = statements_of(
        product, lambda: client.agents.messages.create(plain.id, input="hi", max_steps=1)
    )
    two = statements_of(
        product, lambda: client.agents.messages.create(ruled.id, input="hi", max_steps=1)
    )
    assert len(without_control(two)) - len(without_control(one)) == more, two


def test_a_tool_call_and_its_step_cost_nine_statements_more(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    text = do(call("memory_insert", label="human", new_string="y"), say("ok"))
    one = statements_of(product, lambda: client.agents.messages.create(agent.id, input="hi"))
    two = statements_of(product, lambda: client.agents.messages.create(agent.id, input=text))
    # Two of them tell the next turn of the block that changed: its prompt is compiled anew.
    assert 4 <= len(without_control(two)) - len(without_control(one)) <= 9, two


def test_a_custom_tool_costs_no_statement_more_than_one_of_memory(product: Product) -> None:
    client = product.client()
    source = 'def greet() -> str:\n    """Greet."""\n    return "hello"\n'
    tool = client.tools.upsert(source_code=source)
    agent = client.agents.create(
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "x"}],
        tool_ids=[str(tool.id)],
    )
    edit = do(call("memory_insert", label="human", new_string="y"), say("ok"))
    one = statements_of(product, lambda: client.agents.messages.create(agent.id, input=edit))
    text = do(call("greet"), say("ok"))
    two = statements_of(product, lambda: client.agents.messages.create(agent.id, input=text))
    assert len(without_control(two)) <= len(without_control(one)), two
    assert len(two) - len(without_control(two)) == 0, "no transaction is open at any time"


def test_a_search_of_an_agents_archives_costs_four_statements_and_two_for_meaning(
    product: Product,
) -> None:
    client = product.client()
    with embedding_vendor() as vendor:
        name = new_id("vendor")
        body = {"name": name, "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
        client.post("/v1/providers/", cast_to=object, body=body)
        archive = client.archives.create(name="searched", embedding=f"{name}/embed-1")
        agent = client.agents.create(model=HANDLE)
        client.agents.archives.attach(archive.id, agent_id=agent.id)
        texts: Any = [{"text": "a fig"}, {"text": "a date"}]
        client.archives.passages.create_many(archive.id, passages=texts)
        path = f"/v1/archives/{archive.id}/embedding"
        eventually(
            lambda: cast("Any", client.get(path, cast_to=object))["done"] == 2,
            what="vectors",
            within_s=60,
        )
        counts = {}
        for mode in ("fts", "hybrid"):
            asked = {"query": "figs", "agent_id": agent.id, "search_mode": mode}
            sent = statements_of(
                product,
                lambda: client.post("/v1/passages/search", cast_to=object, body=asked),  # noqa: B023
            )
            assert without_control(sent) == sent, "no transaction is open at any time"
            set_up = [one for one in sent if "SELECT set_config" in one]
            counts[mode] = (len(sent) - len(set_up), len(set_up))
        sent = statements_of(
            product,
            lambda: client.agents.passages.search(agent.id, query="figs"),
        )
    # Whose passages, how rare the words are, who has them, and what is found; then by meaning. With
    # each goes, in the same trip, how it is to be planned and how long it may take.
    assert counts == {"fts": (4, 4), "hybrid": (5, 5)}
    assert len(sent) == sum(counts["hybrid"]), sent


def test_a_batch_costs_as_many_statements_however_large_it_is(
    product: Product, provider: FakeProvider
) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[])
    http = httpx.Client(base_url=product.url, timeout=60)
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "keeps it busy")
    client.agents.messages.create_async(agent.id, input="keeps it busy")
    assert gate.reached.wait(30)

    def costs(method: str, path: str = "", body: object = None) -> tuple[Any, int]:
        log = StatementLog(product)
        answer = http.request(method, f"/v1/messages/batches{path}", json=body)
        answer.raise_for_status()
        product.query("SELECT 'end of a batch'")
        eventually(lambda: "end of a batch" in log.text(), what="the log's end")
        sent = [f"{how}: {text}" for how, text in log.sent_by("o api")]
        return answer.json(), len(without_control(sent))

    counts = []
    for many in (2, 2, 18):  # what is asked once only is asked the first time
        requests = [{"agent_id": agent.id, "input": f"{n}"} for n in range(many)]
        batch, made = costs("POST", body={"requests": requests})
        _, read = costs("GET", f"/{batch['id']}")
        _, messages = costs("GET", f"/{batch['id']}/messages")
        _, listed = costs("GET")
        cancelled, ended = costs("PATCH", f"/{batch['id']}/cancel")
        assert cancelled["metadata"]["runs"]["cancelled"] == many
        counts.append([made, read, messages, listed, ended])
    gate.opened.set()
    assert counts[1] == counts[2]
    assert counts[2] == [7, 1, 2, 1, 9], counts
