"""What an operator can set of providers of models, and of the models that are the defaults."""

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from o.addresses import check_base_url

ProviderKey = SecretStr | None
ProviderUrl = Annotated[str, AfterValidator(partial(check_base_url, may_hold_user=True))] | None


def _from(name: str, *others: str) -> Any:
    """A field that need not be set, by the names that people already use."""
    return Field(None, validation_alias=AliasChoices(f"O_{name}", name, *others))


class ProviderSettings(BaseSettings):
    """Where models come from. A provider exists when its key (or address) is set.

    `o.llm.providers.provider_types` says which variables make which provider.
    """

    # What was made with `echo` or on Windows ends with a line: no key does.
    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, populate_by_name=True, str_strip_whitespace=True
    )

    openai_api_key: ProviderKey = _from("OPENAI_API_KEY")
    openai_base_url: ProviderUrl = _from("OPENAI_BASE_URL")
    anthropic_api_key: ProviderKey = _from("ANTHROPIC_API_KEY")
    anthropic_base_url: ProviderUrl = _from("ANTHROPIC_BASE_URL")
    gemini_api_key: ProviderKey = _from("GEMINI_API_KEY")
    gemini_base_url: ProviderUrl = _from("GEMINI_BASE_URL")
    azure_api_key: ProviderKey = _from("AZURE_API_KEY")
    azure_base_url: ProviderUrl = _from("AZURE_BASE_URL")
    azure_api_version: str | None = _from("AZURE_API_VERSION")
    aws_access_key_id: ProviderKey = _from("AWS_ACCESS_KEY_ID")
    aws_secret_access_key: ProviderKey = _from("AWS_SECRET_ACCESS_KEY")
    aws_region: str | None = _from("AWS_REGION", "AWS_DEFAULT_REGION")
    bedrock_base_url: ProviderUrl = _from("BEDROCK_BASE_URL")
    groq_api_key: ProviderKey = _from("GROQ_API_KEY")
    groq_base_url: ProviderUrl = _from("GROQ_BASE_URL")
    mistral_api_key: ProviderKey = _from("MISTRAL_API_KEY")
    mistral_base_url: ProviderUrl = _from("MISTRAL_BASE_URL")
    deepseek_api_key: ProviderKey = _from("DEEPSEEK_API_KEY")
    deepseek_base_url: ProviderUrl = _from("DEEPSEEK_BASE_URL")
    xai_api_key: ProviderKey = _from("XAI_API_KEY")
    xai_base_url: ProviderUrl = _from("XAI_BASE_URL")
    openrouter_api_key: ProviderKey = _from("OPENROUTER_API_KEY")
    openrouter_base_url: ProviderUrl = _from("OPENROUTER_BASE_URL")
    together_api_key: ProviderKey = _from("TOGETHER_API_KEY")
    together_base_url: ProviderUrl = _from("TOGETHER_BASE_URL")
    fireworks_api_key: ProviderKey = _from("FIREWORKS_API_KEY")
    fireworks_base_url: ProviderUrl = _from("FIREWORKS_BASE_URL")
    cerebras_api_key: ProviderKey = _from("CEREBRAS_API_KEY")
    cerebras_base_url: ProviderUrl = _from("CEREBRAS_BASE_URL")
    baseten_api_key: ProviderKey = _from("BASETEN_API_KEY")
    baseten_base_url: ProviderUrl = _from("BASETEN_BASE_URL")
    minimax_api_key: ProviderKey = _from("MINIMAX_API_KEY")
    minimax_base_url: ProviderUrl = _from("MINIMAX_BASE_URL")
    zai_api_key: ProviderKey = _from("ZAI_API_KEY")
    zai_base_url: ProviderUrl = _from("ZAI_BASE_URL")
    ollama_api_key: ProviderKey = _from("OLLAMA_API_KEY")
    ollama_base_url: ProviderUrl = _from("OLLAMA_BASE_URL")
    vllm_api_key: ProviderKey = _from("VLLM_API_KEY")
    vllm_api_base: ProviderUrl = _from("VLLM_API_BASE", "VLLM_BASE_URL")
    sglang_api_key: ProviderKey = _from("SGLANG_API_KEY")
    sglang_api_base: ProviderUrl = _from("SGLANG_API_BASE", "SGLANG_BASE_URL")
    lmstudio_api_key: ProviderKey = _from("LMSTUDIO_API_KEY")
    lmstudio_base_url: ProviderUrl = _from("LMSTUDIO_BASE_URL")
    default_model: str | None = Field(
        None,
        validation_alias=AliasChoices("O_DEFAULT_MODEL", "LETTA_DEFAULT_LLM_HANDLE"),
        description="The handle for agents that name no model, and for `letta/auto`; unset: the "
        "first that is there.",
    )
    default_embedding: str = Field(
        "auto",
        pattern=r"^(auto|none|[^/]+/.+)$",
        validation_alias=AliasChoices("O_DEFAULT_EMBEDDING", "LETTA_DEFAULT_EMBEDDING_HANDLE"),
        description="The handle of the model that embeds passages of archives which name none; "
        "auto: the one that comes with O, where it is installed; none: they are found by words.",
    )
    local_model_url: str | None = Field(
        None,
        validation_alias="O_LOCAL_MODEL_URL",
        description="Where the bundled model listens; `o up` sets it for what it starts.",
    )

    def value(self, variable: str) -> str:
        """What a variable says, by its name in capitals; empty where it is not set."""
        found = getattr(self, variable.lower(), None) if variable else None
        return found.get_secret_value() if isinstance(found, SecretStr) else found or ""
