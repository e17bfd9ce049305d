"""The table of provider types: what V1 knows, what the environment brings, where each one lives."""

import pytest
from pydantic import ValidationError

from o.addresses import check_base_url
from o.errors import InvalidInput
from o.llm.providers.provider_types import PROVIDER_TYPES, REFUSED_TYPES, find_type
from o.llm.providers.providers import Providers
from o.settings.providers import ProviderSettings

# `ProviderType` of V1's OpenAPI document.
V1_TYPES = [
    "anthropic",
    "azure",
    "baseten",
    "bedrock",
    "cerebras",
    "chatgpt_oauth",
    "deepseek",
    "fireworks",
    "google_ai",
    "google_vertex",
    "groq",
    "hugging-face",
    "letta",
    "lmstudio_openai",
    "minimax",
    "mistral",
    "ollama",
    "openai",
    "together",
    "vllm",
    "sglang",
    "openrouter",
    "xai",
    "zai",
    "zai_coding",
]


def of_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Providers:
    for kind in PROVIDER_TYPES.values():
        for name in (kind.key, kind.url, "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name or "NOTHING", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Providers(ProviderSettings())


def test_every_type_of_v1_is_known_or_refused_with_a_reason() -> None:
    assert {*PROVIDER_TYPES, *REFUSED_TYPES} == set(V1_TYPES)
    for name in ("letta", "chatgpt_oauth"):
        with pytest.raises(InvalidInput, match="provider"):
            find_type(name)
    with pytest.raises(InvalidInput, match="There are anthropic, azure"):
        find_type("llama-farm")


def test_every_variable_of_the_table_is_a_setting() -> None:
    fields = ProviderSettings.model_fields
    for kind in PROVIDER_TYPES.values():
        for variable in filter(None, (kind.key, kind.url)):
            assert variable.lower() in fields


@pytest.mark.parametrize(
    ("variable", "name", "wire", "base_url"),
    [
        ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1"),
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com"),
        ("GEMINI_API_KEY", "google_ai", "gemini", "https://generativelanguage.googleapis.com"),
        ("GROQ_API_KEY", "groq", "openai", "https://api.groq.com/openai/v1"),
        ("TOGETHER_API_KEY", "together", "openai", "https://api.together.xyz/v1"),
        ("DEEPSEEK_API_KEY", "deepseek", "openai", "https://api.deepseek.com/v1"),
        ("XAI_API_KEY", "xai", "openai", "https://api.x.ai/v1"),
        ("OPENROUTER_API_KEY", "openrouter", "openai", "https://openrouter.ai/api/v1"),
        ("FIREWORKS_API_KEY", "fireworks", "openai", "https://api.fireworks.ai/inference/v1"),
        ("MISTRAL_API_KEY", "mistral", "mistral", "https://api.mistral.ai/v1"),
        ("ZAI_API_KEY", "zai", "openai", "https://api.z.ai/api/paas/v4"),
    ],
)
def test_a_key_in_the_environment_is_a_provider(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str, wire: str, base_url: str
) -> None:
    (provider,) = of_environment(monkeypatch, **{variable: "sesame"}).all()
    assert (provider.name, provider.provider_type) == (name, name)
    assert (provider.wire, provider.base_url) == (wire, base_url)
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "sesame"
    assert "sesame" not in repr(provider)


@pytest.mark.parametrize(
    ("variable", "given", "name", "base_url"),
    [
        ("OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1", "ollama", "http://127.0.0.1:11434"),
        ("OLLAMA_BASE_URL", "http://127.0.0.1:11434/", "ollama", "http://127.0.0.1:11434"),
        ("VLLM_API_BASE", "http://127.0.0.1:8000", "vllm", "http://127.0.0.1:8000/v1"),
        ("VLLM_API_BASE", "http://127.0.0.1:8000/v1/", "vllm", "http://127.0.0.1:8000/v1"),
        ("SGLANG_API_BASE", "http://127.0.0.1:3/x", "sglang", "http://127.0.0.1:3/x"),
        ("LMSTUDIO_BASE_URL", "http://127.0.0.1:1", "lmstudio_openai", "http://127.0.0.1:1/v1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:2/v1", "openai", "http://127.0.0.1:2/v1"),
    ],
)
def test_an_address_in_the_environment_is_a_provider(
    monkeypatch: pytest.MonkeyPatch, variable: str, given: str, name: str, base_url: str
) -> None:
    (provider,) = of_environment(monkeypatch, **{variable: given}).all()
    assert (provider.name, provider.base_url, provider.api_key) == (name, base_url, None)


def test_azure_and_bedrock_want_all_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_environment(monkeypatch, AZURE_API_KEY="k").all() == []
    azure = {"AZURE_API_KEY": "k", "AZURE_BASE_URL": "https://x.openai.azure.com"}
    (provider,) = of_environment(monkeypatch, **azure, AZURE_API_VERSION="2024-10-21").all()
    assert (provider.wire, provider.api_version) == ("azure", "2024-10-21")
    aws = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    assert of_environment(monkeypatch, **aws).all() == []
    (provider,) = of_environment(monkeypatch, **aws, AWS_DEFAULT_REGION="eu-west-1").all()
    assert provider.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert provider.region == "eu-west-1"


def test_a_path_of_anthropics_is_spoken_to_as_anthropic() -> None:
    kind = find_type("minimax")
    assert kind.wire_at("https://api.minimax.io/anthropic/") == "anthropic"
    assert kind.wire_at("https://api.minimax.io/v1") == "openai"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "file:///etc/passwd",
        "127.0.0.1:80",
        "http://",
        "http://u:p@host/v1",
        "http://host:0/v1",
        "http://host:99999/v1",
        "http://host/v1?key=x",
        "http://host/v1#x",
        "http://ho st/v1",
        "http://[::1/v1",
        "http://host/" + "a" * 3_000,
        "http://" + "a" * 64 + ".example/v1",
        "http://a..b/v1",
        "http://.../v1",
    ],
)
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(ValueError, match=r"must|has to"):
        check_base_url(url)
    if "@" not in url:  # the operator's own may hold a user
        with pytest.raises(ValidationError):
            of_environment(monkeypatch, OPENAI_BASE_URL=url)


def test_an_address_copied_from_an_example_of_a_request_is_that_of_its_provider() -> None:
    for name in ("openai", "vllm", "mistral"):
        assert find_type(name).address("http://h/v1/chat/completions/") == "http://h/v1"


def test_what_has_no_address_of_its_own_needs_one() -> None:
    for name in ("azure", "google_vertex"):
        with pytest.raises(InvalidInput, match="needs its base_url"):
            find_type(name).address(None)
    with pytest.raises(InvalidInput, match="needs its region"):
        find_type("bedrock").address(None)
