"""Counting the tokens of a prompt, with tables that come with the installation."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from o.domain.llm import ToolSpec
from o.memory import tokenizers
from o.memory.estimates import estimate
from o.memory.tokens import count_message, count_prompt, count_text, count_tools, is_exact

NO_NETWORK = """
import socket, sys
def refuse(event, _):
    if event.startswith("socket."):
        raise SystemExit(f"reached for the network: {event}")
sys.addaudithook(refuse)
from o.memory.tokens import count_prompt, count_text
small = count_prompt("openai/gpt-5", [{"role": "user", "content": "Hello!"}], [], enough=1000)
assert "tiktoken" not in sys.modules, "a small prompt has loaded the tables"
counts = [count_text(model, "Geschwindigkeitsbegrenzung") for model in sys.argv[1:]]
foreign = [name for name in ("litellm", "requests") if name in sys.modules]
print(small, counts, foreign)
"""


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai/gpt-4o-mini", True),
        ("openai/gpt-5.2", True),
        ("openai/o3", True),
        ("openai/ft:gpt-4o-2024-08-06:acme::1", True),
        ("azure/gpt-35-turbo", True),
        ("openrouter/openai/gpt-4.1", True),
        ("openai/gpt-4", True),
        ("ollama/o1000-distilled", False),
        ("anthropic/claude-sonnet-5", False),
        ("ollama/qwen3:8b", False),
        ("mine/chat", False),
        ("", False),
    ],
)
def test_the_tokenizers_of_openais_models_are_known(model: str, known: bool) -> None:
    assert is_exact(model) is known


def test_tables_are_read_without_a_network_and_only_when_they_are_needed() -> None:
    made = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "openai/gpt-5", "openai/gpt-4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (made.stdout.strip(), made.stderr) == ("12 [6, 9] []", "")


def test_known_texts_have_the_tokens_that_openai_counts() -> None:
    assert count_text("openai/gpt-4", "tiktoken is great!") == 6  # from OpenAI's cookbook
    assert count_text("openai/gpt-4o", "antidisestablishmentarianism") == 6
    assert count_text("openai/gpt-4", "お誕生日おめでとう") == 9
    assert count_text("openai/gpt-4o", "お誕生日おめでとう") == 8


@pytest.mark.parametrize(
    "one", [" ", "\t", "\n", "^", "a", "字", "\u0301", "😀", "a1", "<|endoftext|>"]
)
def test_a_long_run_of_one_character_is_counted(one: str) -> None:
    """On 2 million spaces the pattern of the newer tokenizer panics, past every `except`."""
    text = one * (400_000 // len(one))
    assert 0 < count_text("openai/gpt-5", text) <= len(text.encode())


def test_text_that_is_no_unicode_is_counted() -> None:
    for model in ("openai/gpt-5", "mine/chat"):
        assert count_text(model, "a\ud800b\0c") > 0


def test_a_text_in_pieces_has_hardly_more_tokens_than_in_one() -> None:
    line = "The harbour office opens at nine; Ada is there before the doors are unlocked.\n"
    one, many = count_text("openai/gpt-5", line), count_text("openai/gpt-5", line * 2_000)
    assert one * 2_000 <= many <= one * 2_000 * 1.001


def test_images_count_by_what_they_are_shown_at_and_not_by_their_bytes() -> None:
    def image(size: int, **more: str) -> list[dict[str, Any]]:
        url = "data:image/png;base64," + "A" * size
        return [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url} | more}]}
        ]

    for model in ("openai/gpt-5", "mine/chat"):
        assert 1_000 < count_prompt(model, image(2_000_000), []) < 2_000
    assert count_prompt("openai/gpt-5", image(9, detail="low"), []) < 150
    assert count_prompt("openai/gpt-4o-mini", image(9), []) > 20_000  # as OpenAI charges it


def test_calls_their_arguments_and_returns_are_counted() -> None:
    call = {"id": "1", "type": "function"}
    short = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call | {"function": {"name": "f", "arguments": "{}"}}],
    }
    arguments = json.dumps({"text": "harbour " * 1000})
    long = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call | {"function": {"name": "f", "arguments": arguments}}],
    }
    for model in ("openai/gpt-5", "mine/chat"):
        assert count_message(model, long) - count_message(model, short) > 1_000
    returned = {"role": "tool", "tool_call_id": "1", "content": "harbour " * 1000}
    assert count_message("openai/gpt-5", returned) > 1_000


def test_what_a_provider_has_added_counts_where_it_is_read() -> None:
    plain = {"role": "assistant", "content": "Yes."}
    thought = plain | {"reasoning_content": "harbour " * 500}
    block = {"type": "thinking", "thinking": "harbour " * 500, "signature": "s" * 50_000}
    for said in (thought, plain | {"thinking_blocks": [block]}):
        assert 500 < count_message("mine/chat", said) < 3_000


def test_every_tool_counts_whatever_its_language() -> None:
    tool = ToolSpec(name="find", description="Find a thing.", parameters={"type": "object"})
    foreign = tool.model_copy(update={"description": "検索します" * 200})
    assert count_tools("mine/chat", []) == 0
    for model in ("openai/gpt-5", "mine/chat", "anthropic/claude-sonnet-5"):
        assert count_tools(model, [tool] * 200) > 3_000
        assert count_tools(model, [foreign]) > 300


@pytest.mark.parametrize("content", [None, b"", b"IQ== 0\n", b"not a table"])
def test_a_table_that_is_damaged_or_gone_leaves_estimates(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    if content is not None:
        table.write_bytes(content)
    monkeypatch.setattr(tokenizers, "_tables", lambda: tmp_path)
    tokenizers._encoder.cache_clear()
    try:
        assert count_text("openai/gpt-5", "harbour " * 100) == estimate("harbour " * 100)
        assert table.exists() == (content is not None), "a package is nobody's to mend"
    finally:
        tokenizers._encoder.cache_clear()
