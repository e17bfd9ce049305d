"""Where Azure serves a deployment, which is named as the model."""

from urllib.parse import quote, urlencode

from o.llm.providers.providers import Provider

_API_VERSION = "2024-10-21"
"""The newest that is no preview, for providers that name none."""


def azure_address(provider: Provider, model: str, operation: str) -> str:
    """The address of an operation of a deployment.

    An address that ends in `/openai/v1` is Azure's newer one, which is OpenAI's in all but the key.

    Args:
        provider: Whose resource it is.
        model: The deployment's name.
        operation: What is asked for, such as `chat/completions`.
    """
    base = provider.base_url.rstrip("/")
    if base.endswith("/openai/v1"):
        return f"{base}/{operation}"
    version = urlencode({"api-version": provider.api_version or _API_VERSION})
    deployment = f"{base.removesuffix('/openai')}/openai/deployments/{quote(model, safe='')}"
    return f"{deployment}/{operation}?{version}"
