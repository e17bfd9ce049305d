"""Where Azure's deployments are asked."""

import pytest

from o.llm.providers.providers import Provider
from o.llm.wires.azure import AzureWire

_RESOURCE = "https://ada.openai.azure.com"
_CHAT = "chat/completions"


@pytest.mark.parametrize(
    ("base_url", "version", "address"),
    [
        (
            _RESOURCE,
            "2025-01-01",
            f"{_RESOURCE}/openai/deployments/x/{_CHAT}?api-version=2025-01-01",
        ),
        (f"{_RESOURCE}/", None, f"{_RESOURCE}/openai/deployments/x/{_CHAT}?api-version=2024-10-21"),
        (
            f"{_RESOURCE}/openai",
            "2025-01-01",
            f"{_RESOURCE}/openai/deployments/x/{_CHAT}?api-version=2025-01-01",
        ),
        (f"{_RESOURCE}/openai/v1/", None, f"{_RESOURCE}/openai/v1/{_CHAT}"),
    ],
)
def test_a_deployment_is_asked_at_its_address(
    base_url: str, version: str | None, address: str
) -> None:
    provider = Provider("azure", "azure", "azure", base_url, api_version=version)
    assert AzureWire().address(provider, "x") == address


def test_a_deployment_may_be_called_anything() -> None:
    provider = Provider("azure", "azure", "azure", _RESOURCE)
    assert "/deployments/a%2Fb%20c%3F/" in AzureWire().address(provider, "a/b c?")
