"""A worker dies in the middle of a reply that a client reads as it is written."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.killing import Background, KillableProduct, new_agent
from tests.letta_code.cli import RELEASES, SHELL, LettaCode
from tests.support.provider import FakeProvider, call, do, say
from tests.support.streams import body_of, read, without_pings

pytestmark = pytest.mark.chaos

WORDS = " ".join(f"word{n}" for n in range(40))
REPLY = say(WORDS) | {"pause_s": 0.02}


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path_factory.mktemp("broken") / "o", provider)
    product.start()
    yield product
    product.stop()


def test_the_official_client_has_the_whole_under_one_id_and_knows_what_is_void(
    product: KillableProduct,
) -> None:
    client, agent = product.client(), new_agent(product)

    def listen() -> list[Any]:
        options: Any = {"streaming": True, "stream_tokens": True}
        with client.agents.messages.create(agent.id, input=do(REPLY), **options) as events:
            return list(events)

    with product.stopped_at("tokens-coming") as reached:
        listening = Background(listen)
        product.kill_one("worker", reached())
    texts: defaultdict[str, str] = defaultdict(str)
    void = set()
    for message in listening.result():
        if message.message_type == "assistant_message":
            texts[message.id] += message.content
        elif message.message_type == "event_message":
            void.add(message.event_data["message_id"])
    assert len(void) == 1
    assert [text for message_id, text in texts.items() if message_id not in void] == [WORDS]
    assert all(WORDS.startswith(texts[message_id]) for message_id in void)
    assert list(texts.values())[-1] == WORDS, "what was said last is right in any case"


def test_a_plain_reader_has_the_whole_by_reading_again(product: KillableProduct) -> None:
    agent = new_agent(product)
    body = {"input": do(REPLY), "streaming": True, "stream_tokens": True, "background": True}
    with product.stopped_at("tokens-coming") as reached:
        listening = Background(
            lambda: without_pings(read(product, f"agents/{agent.id}/messages", **body))
        )
        product.kill_one("worker", reached())
    frames = listening.result()
    run_id = next(body_of(frame)["run_id"] for _, frame in frames)
    again = [body_of(frame) for _, frame in read(product, f"runs/{run_id}/stream")]
    said = [one["content"] for one in again if one.get("message_type") == "assistant_message"]
    assert "".join(said) == WORDS


@pytest.mark.parametrize("release", RELEASES)
def test_letta_code_ends_with_the_whole(
    product: KillableProduct, release: str, tmp_path: Path
) -> None:
    code = LettaCode(release, product.url, tmp_path / "home")
    with product.stopped_at("tokens-coming") as reached:
        asking = Background(lambda: code.ask(do(REPLY), "--new-agent"))
        product.kill_one("worker", reached())
    assert asking.result()["result"] == WORDS


@pytest.mark.parametrize("release", RELEASES)
def test_letta_code_runs_no_call_of_a_reply_that_broke_off(
    product: KillableProduct, release: str, tmp_path: Path
) -> None:
    code = LettaCode(release, product.url, tmp_path / "home")
    noting = call(SHELL, command="echo ran >> notes; echo " + "x" * 200)
    text = do(noting | {"cut": 8, "pause_s": 0.02}, say("It is noted."))
    with product.stopped_at("tokens-coming") as reached:
        asking = Background(lambda: code.ask(text, "--new-agent", "--yolo"))
        product.kill_one("worker", reached())
    assert asking.result()["result"] == "It is noted."
    assert (code.directory / "notes").read_text() == "ran\n"
    (arguments,) = product.query(
        "SELECT tool_calls -> 0 ->> 'arguments' FROM messages "
        "WHERE role = 'assistant' AND jsonb_array_length(tool_calls) > 0 "
        "ORDER BY created_at DESC LIMIT 1"
    )[0]
    assert json.loads(arguments) == json.loads(noting["calls"][0]["arguments"])
