"""Azure OpenAI: the OpenAI wire, with deployments in its addresses and another header for keys."""

from o.llm.providers.azure_addresses import azure_address
from o.llm.providers.providers import Provider
from o.llm.wires.openai import OpenAIWire


class AzureWire(OpenAIWire):
    """Asks models over `POST <resource>/openai/deployments/<model>/chat/completions`."""

    def address(self, provider: Provider, model: str) -> str:
        """Where the deployment that is named as the model is asked."""
        return azure_address(provider, model, "chat/completions")

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key in Azure's header."""
        key = provider.api_key.get_secret_value() if provider.api_key else ""
        return {"Content-Type": "application/json"} | ({"api-key": key} if key else {})
