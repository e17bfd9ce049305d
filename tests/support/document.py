"""What the API says of itself. Making it takes seconds, so all tests share one."""

from typing import Any

from api.app import create_app
from o.settings.all import Settings
from o.settings.providers import ProviderSettings

DOCUMENT: dict[str, Any] = create_app(Settings(), ProviderSettings()).openapi()
