"""Conversations of very many turns in small windows, with a provider that counts and refuses.

`O_LONG_TURNS=1000` has each of them go on for a thousand turns.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.api.test_compaction import FILLER, summaries_in
from tests.support.product import Product
from tests.support.provider import FakeProvider, Prompt, call, do, say
from tests.support.windows import summing, tokens_of

TURNS = int(os.environ.get("O_LONG_TURNS", "90"))
WINDOWS = (4_000, 8_000, 32_000)
MODEL = "gpt-4o-strict"  # whose tokens are counted exactly, here and there
EDIT_EVERY = 40


@pytest.fixture(scope="module")
def strict() -> Iterator[FakeProvider]:
    """A provider that refuses every prompt that is longer than its window by a token."""
    provider = FakeProvider(MODEL)
    provider.start()
    yield provider
    provider.stop()


class Talk:
    """One conversation, and what its provider was asked."""

    def __init__(self, server: Product, client: Letta, strict: FakeProvider, window: int) -> None:
        self.window = window
        self._provider = strict
        name = f"strict-{window}"
        given = {"name": name, "provider_type": "openai", "api_key": "sk-strict"}
        url = f"{server.url}/v1/providers/"
        httpx.post(url, json=given | {"base_url": strict.url}).raise_for_status()
        self.agent_id = client.agents.create(
            model=f"{name}/{MODEL}",
            system=f"[window {window}] You talk.",
            context_window_limit=window,
            include_base_tools=False,
            tools=["memory_insert"],
            memory_blocks=[{"label": "human", "value": "Nothing."}],
            extra_body={"compaction_settings": {"prompt": summing(say("They like tea."))}},
        ).id
        self._url = f"{server.url}/v1/agents/{self.agent_id}/messages"
        self.told: list[str] = []

    def go_on(self, turns: int) -> None:
        """Speak: more at once where the window is larger, and a tool is called now and then."""
        edit = call("memory_insert", label="human", new_string="They like tea.")
        with httpx.Client(timeout=120) as http:
            for n in range(turns):
                text = f"{n} {FILLER * max(1, self.window // 8_000)}"
                if n % EDIT_EVERY == EDIT_EVERY - 1:
                    text = do(edit, say(f"noted {n}"))
                self.told.append(text)
                answer = http.post(self._url, json={"input": text})
                assert answer.status_code == 200, answer.text

    def requests(self) -> list[dict[str, Any]]:
        """What the agent's model was asked, without what was asked of it for summaries."""
        name = f"AGENT_ID: {self.agent_id}\n"
        return [one for one in self._provider.requests if name in _head(one)]


def _head(request: dict[str, Any]) -> str:
    return str(request["messages"][0]["content"])


@pytest.mark.timeout(3_000)
def test_no_prompt_is_over_its_window_and_nothing_changes_that_need_not(
    server: Product, client: Letta, strict: FakeProvider
) -> None:
    talks = [Talk(server, client, strict, window) for window in WINDOWS]
    with ThreadPoolExecutor(len(talks)) as pool:
        list(pool.map(lambda talk: talk.go_on(TURNS), talks))
    assert not strict.problems
    for talk in talks:
        requests = talk.requests()
        sizes = [tokens_of(one) for one in requests]
        assert max(sizes) <= talk.window
        _check_summaries(client, talk, sizes)
        prompts = [one["messages"] for one in requests]
        _check_newest(prompts, talk.told)
        _check_beginnings(prompts)


def _check_summaries(client: Letta, talk: Talk, sizes: list[int]) -> None:
    """At most one compaction each time that the window filled up."""
    made = summaries_of(client, talk.agent_id)
    crossings = sum(after < before for before, after in pairwise(sizes))
    assert 0 < len(made) <= crossings
    for stats in made:
        assert stats["trigger"] == "post_step_context_check"
        assert stats["context_tokens_before"] > 0.9 * talk.window
        assert stats["context_tokens_after"] < 0.75 * talk.window


def summaries_of(client: Letta, agent_id: str) -> list[dict[str, Any]]:
    """The statistics of all compactions of an agent, oldest first."""
    listed = client.agents.messages.list(
        agent_id, limit=1_000, order="asc", include_return_message_types=["user_message"]
    )
    texts = [str(one.content) for one in listed if one.message_type == "user_message"]
    packed = [json.loads(text) for text in texts if text.startswith('{"type": "system_alert"')]
    return [one["compaction_stats"] for one in packed]


def _check_newest(prompts: list[Prompt], told: list[str]) -> None:
    """What was said last, and the answers to it, are in each prompt word by word."""
    for prompt in prompts:
        said = [one["content"] for one in prompt if one["role"] == "user"]
        said = [text for text in said if not text.startswith('{"type": "system_alert"')]
        newest = told.index(said[-1])
        assert said == told[newest - len(said) + 1 : newest + 1]
        assert newest == 0 or len(said) > 1


def _check_beginnings(prompts: list[Prompt]) -> None:
    """A prompt is the beginning of the next one, but behind a compaction or a block's edit."""
    changes = 0
    for before, after in pairwise(prompts):
        is_same_window = summaries_in(before) == summaries_in(after)
        if is_same_window and before[0] == after[0]:
            assert json.dumps(after[: len(before)]) == json.dumps(before)
        elif is_same_window:
            changes += 1
            assert json.dumps(after[1 : len(before)]) == json.dumps(before[1:])
    assert changes <= TURNS // EDIT_EVERY


def test_who_reads_a_window_from_the_database_asks_the_same(
    server: Product, client: Letta, strict: FakeProvider
) -> None:
    """A preview knows nothing of what workers keep."""
    talk = Talk(server, client, strict, 4_001)
    talk.go_on(20)
    newest = talk.requests()[-1]["messages"]
    assert summaries_in(newest)
    preview = httpx.post(
        f"{server.url}/v1/conversations/default/messages/preview-raw-payload",
        json={"input": "and now?", "agent_id": talk.agent_id, "streaming": False},
        timeout=30,
    )
    assert preview.json()["messages"][: len(newest)] == newest
