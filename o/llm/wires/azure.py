"""Azure OpenAI: the OpenAI wire, with deployments in its addresses and another header for keys."""

from urllib.parse import quote, urlencode

from o.llm.providers import Provider
from o.llm.wires.openai import OpenAIWire

_API_VERSION = "2024-10-21"
"""The newest that is no preview, for providers that name none."""


class AzureWire(OpenAIWire):
    """Asks models over `POST <resource>/openai/deployments/<model>/chat/completions`.

    An address that ends in `/openai/v1` is Azure's newer one, which is OpenAI's in all but the key.
    """

    def address(self, provider: Provider, model: str) -> str:
        """Where the deployment that is named as the model is asked."""
        base = provider.base_url.rstrip("/")
        if base.endswith("/openai/v1"):
            return f"{base}/chat/completions"
        version = urlencode({"api-version": provider.api_version or _API_VERSION})
        deployment = f"{base.removesuffix('/openai')}/openai/deployments/{quote(model, safe='')}"
        return f"{deployment}/chat/completions?{version}"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key in Azure's header."""
        key = provider.api_key.get_secret_value() if provider.api_key else ""
        return {"Content-Type": "application/json"} | ({"api-key": key} if key else {})
