"""Providers of models: which there are, and which one a handle names."""

from dataclasses import dataclass

from pydantic import SecretStr

from o.domain.agents import DEFAULT_CONTEXT_WINDOW
from o.errors import NotFound
from o.settings import ProviderSettings

LOCAL_MODEL = "smollm2-135m"
LOCAL_CONTEXT_WINDOW = 8_192


@dataclass(frozen=True)
class Provider:
    """Where the models behind `<name>/…` are asked.

    Attributes:
        name: First part of the handle, up to the first slash.
        provider_type: Who it is, in V1's words (`provider_type` of `POST /v1/providers/`).
        wire: How requests are spelled: openai, anthropic or ollama.
        base_url: As the provider's own documentation gives it.
        api_key: None where the provider asks for none.
        context_window: Tokens, for models whose own number is not known.
    """

    name: str
    provider_type: str
    wire: str
    base_url: str
    api_key: SecretStr | None = None
    context_window: int = DEFAULT_CONTEXT_WINDOW


class Providers:
    """The providers that the environment names."""

    def __init__(self, settings: ProviderSettings) -> None:
        found = [
            settings.has_openai
            and Provider(
                "openai", "openai", "openai", settings.openai_base_url, settings.openai_api_key
            ),
            settings.anthropic_api_key
            and Provider(
                "anthropic",
                "anthropic",
                "anthropic",
                settings.anthropic_base_url,
                settings.anthropic_api_key,
            ),
            settings.groq_api_key
            and Provider("groq", "groq", "openai", settings.groq_base_url, settings.groq_api_key),
            settings.ollama_base_url
            and Provider("ollama", "ollama", "ollama", settings.ollama_base_url),
            settings.local_model_url
            and Provider(
                "local",
                "openai",
                "openai",
                settings.local_model_url,
                context_window=LOCAL_CONTEXT_WINDOW,
            ),
        ]
        self._by_name = {provider.name: provider for provider in found if provider}

    def all(self) -> list[Provider]:
        """Every provider, in a fixed order."""
        return list(self._by_name.values())

    def resolve(self, handle: str) -> tuple[Provider, str]:
        """The provider that a handle names, and the model's id there, which may hold slashes.

        Raises:
            NotFound: No such provider is set up.
        """
        name, _, model = handle.partition("/")
        provider = self._by_name.get(name)
        if provider is None or not model:
            known = ", ".join(f"{name}/…" for name in self._by_name) or "none"
            raise NotFound(f"Handle {handle} not found, supported providers: {known}")
        return provider, model
