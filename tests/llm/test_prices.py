"""What models cost: by provider type and model, as the table of today has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from o.domain.runs import Usage
from o.llm.providers.prices import Prices
from o.llm.providers.providers import Provider
from o.price_file import OwnPrice, read_prices

MILLION = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)
BEDROCK_PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"


def provider(kind: str, name: str = "", **more: Any) -> Provider:
    usual = "https://api.openai.com/v1" if kind == "openai" else "https://x.test/v1"
    return Provider(name or kind, kind, "openai", more.pop("base_url", usual), **more)


# US dollars for a million tokens of a short prompt, and of the reply.
KNOWN: dict[tuple[str, str], tuple[float, float] | None] = {
    ("openai", "gpt-4o"): (2.5, 10),
    ("openai", "gpt-4o-2024-08-06"): (2.5, 10),
    ("openai", "gpt-4o-2031-01-01"): (2.5, 10),
    ("openai", "gpt-4o-mini"): (0.15, 0.6),
    ("openai", "gpt-5"): (1.25, 10),
    ("openai", "o3"): (2, 8),
    ("openai", "ft:gpt-4o-2024-08-06:acme::abc"): (3.75, 15),
    ("openai", "deepseek-chat"): None,
    ("openai", "claude-sonnet-4-5"): None,
    ("openai", "qwen3-8b"): None,
    ("openai", "gpt-4o-audio"): None,
    ("anthropic", "claude-sonnet-4-5-20250929"): (3, 15),
    ("anthropic", "claude-sonnet-4-5"): (3, 15),
    ("anthropic", "claude-opus-4-6-20990101"): (5, 25),
    ("anthropic", "gpt-4o"): None,
    ("google_ai", "gemini-2.5-pro"): (1.25, 10),
    ("google_ai", "models/gemini-2.5-flash"): (0.3, 2.5),
    ("google_vertex", "gemini-2.5-pro"): (1.25, 10),
    ("google_vertex", "claude-sonnet-4-5@20250929"): (3, 15),
    ("azure", "gpt-4o"): (2.5, 10),
    ("azure", "GPT-4o"): (2.5, 10),
    ("azure", "eu/gpt-4o-mini"): (0.165, 0.66),
    ("azure", "my-deployment"): None,
    ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0"): (3, 15),
    (
        "bedrock",
        f"{BEDROCK_PROFILE}eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ): (3.3, 16.5),
    ("groq", "openai/gpt-oss-120b"): (0.15, 0.6),
    ("mistral", "mistral-large-latest"): (0.5, 1.5),
    ("deepseek", "deepseek-chat"): (0.28, 0.42),
    ("xai", "grok-4.5"): (2, 6),
    ("together", "deepseek-ai/DeepSeek-V3"): (1.25, 1.25),
    ("fireworks", "accounts/fireworks/models/deepseek-r1"): (3, 8),
    ("fireworks", "deepseek-r1"): (3, 8),
    ("cerebras", "gpt-oss-120b"): (0.35, 0.75),
    ("zai", "glm-4.6"): (0.6, 2.2),
    ("minimax", "MiniMax-M2"): (0.3, 1.2),
    ("openrouter", "anthropic/claude-sonnet-4.5"): None,
    ("openrouter", "qwen/qwen3:free"): (0, 0),
    ("ollama", "llama3:8b"): (0, 0),
    ("lmstudio_openai", "qwen3-8b"): (0, 0),
    ("vllm", "qwen3-8b"): None,
    ("hugging-face", "qwen3-8b"): None,
}


@pytest.mark.parametrize(("named", "dollars"), KNOWN.items(), ids=[" ".join(k) for k in KNOWN])
def test_a_model_has_the_price_of_its_provider_or_none(
    named: tuple[str, str], dollars: tuple[float, float] | None
) -> None:
    kind, model = named
    price = Prices().find(provider(kind), model)
    if dollars is None:
        assert price is None
        return
    assert price is not None
    found = (price.rates[0].input * 1e6, price.rates[0].output * 1e6)
    assert found == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("base_url", "model", "dollars"),
    [
        ("https://api.deepseek.com/v1", "deepseek-chat", 0.28),
        ("https://acme.openai.azure.com/openai/v1", "gpt-4o", 2.5),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-flash", 0.3),
        ("https://eu.api.openai.com/v1", "gpt-4o", 2.5),
        ("https://api.deepseek.com/v1", "gpt-4o", None),
        ("http://127.0.0.1:8000/v1", "gpt-4o", None),
        ("https://gateway.example.com/v1", "gpt-4o", None),
        ("https://gateway.example.com/v1", "openai/gpt-4o", None),
        ("https://notapi.openai.com.example.com/v1", "gpt-4o", None),
        ("https://openrouter.ai/api/v1", "gpt-4o", None),
    ],
)
def test_an_address_says_whose_the_price_is(
    base_url: str, model: str, dollars: float | None
) -> None:
    price = Prices().find(provider("openai", base_url=base_url), model)
    assert (price and price.rates[0].input * 1e6) == (dollars and pytest.approx(dollars))


def test_a_region_of_aws_may_have_its_own_price() -> None:
    model = "meta.llama3-70b-instruct-v1:0"
    mumbai = Prices().find(provider("bedrock", region="ap-south-1"), model)
    virginia = Prices().find(
        provider("bedrock", base_url="https://bedrock-runtime.us-east-1.amazonaws.com"), model
    )
    assert mumbai is not None
    assert virginia is not None
    assert mumbai.rates[0].input > virginia.rates[0].input


async def cost(kind: str, model: str, usage: Usage, own: Any = None, **more: Any) -> int | None:
    prices = Prices({handle: OwnPrice(**price) for handle, price in (own or {}).items()})
    return await prices.cost_nano(provider(kind, **more), model, usage)


async def test_what_was_cached_or_written_to_the_cache_is_part_of_the_prompt() -> None:
    usage = Usage(
        prompt_tokens=10_000,
        completion_tokens=1_000,
        cached_input_tokens=6_000,
        cache_write_tokens=3_000,
        reasoning_tokens=900,
    )
    # 1,000 at 3 dollars a million, 6,000 at 0.30, 3,000 at 3.75, and 1,000 at 15.
    dollars = 0.003 + 0.0018 + 0.01125 + 0.015
    assert await cost("anthropic", "claude-sonnet-4-5", usage) == round(dollars * 1e9)


async def test_a_long_prompt_costs_more_in_all_its_parts() -> None:
    short = Usage(prompt_tokens=200_000, completion_tokens=100)
    long = Usage(prompt_tokens=200_001, completion_tokens=100)
    assert await cost("google_ai", "gemini-2.5-pro", short) == 251_000_000
    assert await cost("google_ai", "gemini-2.5-pro", long) == 501_502_500 + 0
    tiered = Usage(prompt_tokens=300_000)
    assert await cost("dashscope", "qwen-flash", tiered) == 75_000_000


async def test_what_the_provider_says_goes_before_the_table_and_behind_the_operator() -> None:
    said = MILLION.model_copy(update={"cost_nano": 5})
    own = {"openai/gpt-4o": {"input": 1, "output": 2, "cached_input": 0.5}}
    assert await cost("openai", "gpt-4o", said) == 5
    assert await cost("openai", "gpt-4o", said, own) == 3_000_000_000
    assert await cost("openai", "gpt-4o", MILLION, own) == 3_000_000_000
    assert await cost("openai", "gpt-4o-mini", MILLION, own) == 750_000_000
    assert await cost("openai", "x", MILLION, {"openai/*": {"input": 0, "output": 1}}) == 10**9
    cached = MILLION.model_copy(update={"cached_input_tokens": 1_000_000})
    assert await cost("openai", "gpt-4o", cached, own) == 2_500_000_000


async def test_zero_counts_where_nothing_else_is_known() -> None:
    zero = MILLION.model_copy(update={"cost_nano": 0})
    assert await cost("openai", "gpt-4o", zero) == 12_500_000_000
    assert await cost("openrouter", "some/preview", zero) == 0
    assert await cost("openrouter", "some/preview", MILLION) is None


async def test_a_provider_that_tells_no_tokens_costs_what_nobody_knows() -> None:
    assert await cost("openai", "gpt-4o", Usage()) is None
    assert await cost("openai", "x", Usage(), name="local") == 0
    assert await cost("ollama", "x", Usage()) == 0


def test_the_table_is_read_without_litellm_and_leaves_little_behind() -> None:
    code = """
import sys
from o.llm.providers.prices import Prices
from o.llm.providers.providers import Provider
def kb():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
before = kb()
assert Prices().find(Provider("openai", "openai", "openai", "https://api.openai.com/v1"), "gpt-4o")
assert "litellm" not in sys.modules
print(kb() - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(ran.stdout) < 8_000, "kB"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "holds no JSON"),
        ("[]", "dictionary"),
        ('{"gpt-4o": {"input": 1, "output": 1}}', "no handle"),
        ('{"openai/gpt-4o": {"input": 1}}', "openai/gpt-4o · output"),
        ('{"openai/gpt-4o": {"input": -1, "output": 1}}', "greater than or equal to 0"),
        ('{"openai/gpt-4o": {"input": 1, "output": 1, "price": 1}}', "price"),
    ],
)
def test_a_file_of_prices_that_is_none_says_what_is_wrong(
    tmp_path: Path, text: str, wrong: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=wrong):
        read_prices(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_prices(tmp_path / "none.json")


def test_a_file_of_prices_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"vllm/*": {"input": 1, "output": 2}}))
    assert read_prices(path) == {"vllm/*": OwnPrice(input=1, output=2)}
