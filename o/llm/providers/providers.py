"""Providers of models: which there are, and which one a handle names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import SecretStr

from o.domain.agents import DEFAULT_CONTEXT_WINDOW
from o.errors import Failure, ModelError, NotFound
from o.llm.providers.provider_types import PROVIDER_TYPES, ProviderType, variables_of
from o.outbound import OutboundGuard
from o.settings.providers import ProviderSettings

ANY_MODEL = frozenset({"letta/auto", "letta/auto-fast", "letta/letta-free"})
"""V1's hosted handles, which clients name without knowing the server."""

LOCAL = "local"
"""The name of the bundled model's provider."""

LOCAL_MODEL = "smollm2-135m"
LOCAL_CONTEXT_WINDOW = 8_192


@dataclass(frozen=True)
class Provider:
    """Where the models behind `<name>/…` are asked.

    Attributes:
        name: First part of the handle, up to the first slash.
        provider_type: Who it is, in V1's words (`provider_type` of `POST /v1/providers/`).
        wire: How requests are spelled; see `o.llm.providers.provider_types`.
        base_url: As the provider's own documentation gives it, without a slash at its end.
        api_key: None where the provider asks for none. Of Bedrock the secret key, or one of its
            API keys where there is no `access_key`.
        context_window: Tokens, for models whose own number is not known.
        id: Of its row; empty where it has none.
        organization_id: Whose it is; empty for those of the environment alone.
        access_key: The public half of AWS's keys.
        region: Of AWS.
        api_version: Of Azure.
        models: The ids of its models, where they are known; None where it has to be asked.
        of_environment: Whether the environment brings it.
        fault: Why it cannot be used, for people; empty if it can.
        guard: What judges each address that is connected to, where a client named the provider's
            who is not to reach all that this server does; None where an operator did.
    """

    name: str
    provider_type: str
    wire: str
    base_url: str
    api_key: SecretStr | None = field(default=None, repr=False)
    context_window: int = DEFAULT_CONTEXT_WINDOW
    id: str = ""
    organization_id: str = ""
    access_key: SecretStr | None = field(default=None, repr=False)
    region: str | None = None
    api_version: str | None = None
    models: tuple[str, ...] | None = None
    of_environment: bool = True
    fault: str = ""
    guard: OutboundGuard | None = field(default=None, repr=False)

    def check_usable(self) -> None:
        """See that it can be asked.

        Raises:
            ModelError: It cannot; the message says what to do.
        """
        if self.fault:
            raise ModelError(
                "llm_authentication", self.fault, status=401, failure=Failure.AUTHENTICATION
            )


class ProviderSet:
    """The providers of one organization, as they are at one moment."""

    def __init__(self, providers: Iterable[Provider], default_model: str | None = None) -> None:
        self._by_name = {provider.name: provider for provider in providers}
        self.default_model = default_model

    def all(self) -> list[Provider]:
        """Every provider, in a fixed order."""
        return list(self._by_name.values())

    def get(self, name: str) -> Provider | None:
        """The provider by that name."""
        return self._by_name.get(name)

    def resolve(self, handle: str) -> tuple[Provider, str]:
        """The provider that a handle names, and the model's id there, which may hold slashes.

        V1 calls OpenAI `openai-proxy` where its address was changed, and gives out handles of its
        own (`ANY_MODEL`), which mean the default model here.

        Raises:
            NotFound: No such provider is set up.
        """
        if handle in ANY_MODEL and self.default_model and "letta" not in self._by_name:
            handle = self.default_model
        name, _, model = handle.partition("/")
        provider = self._by_name.get(name)
        if provider is None and name == "openai-proxy":
            provider = self._by_name.get("openai")
        if provider is None or not model:
            known = ", ".join(f"{name}/…" for name in self._by_name) or "none"
            named = variables_of(name) if provider is None else ""
            way_out = f". Set {named} where O is started to have it" if named else ""
            raise NotFound(
                f"Handle {handle} not found: there is no provider {name!r}. "
                f"There are: {known}{way_out}"
            )
        return provider, model


class ProviderSource(Protocol):
    """Who knows which providers an organization has now."""

    async def providers_of(self, organization_id: str, mark: str | None = None) -> ProviderSet:
        """The providers of an organization.

        Args:
            organization_id: Empty for those of the environment alone.
            mark: What the database said of the organization's providers a moment ago. Whoever has
                them under the same mark need not ask; None asks.
        """
        ...


class Providers(ProviderSet):
    """The providers that the environment names, for everybody."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(_of_environment(settings), settings.default_model)

    async def providers_of(self, organization_id: str, mark: str | None = None) -> ProviderSet:
        """The same for every organization; see `ProviderSource`."""
        return self


def _of_environment(settings: ProviderSettings) -> Iterator[Provider]:
    for kind in PROVIDER_TYPES.values():
        if (provider := _set_in(settings, kind)) is not None:
            yield provider
    if settings.local_model_url:
        yield Provider(
            LOCAL,
            "openai",
            "openai",
            settings.local_model_url,
            context_window=LOCAL_CONTEXT_WINDOW,
            models=(LOCAL_MODEL,),
        )


def _set_in(settings: ProviderSettings, kind: ProviderType) -> Provider | None:
    """The provider of a type, None unless the environment has all that it needs."""
    key, url = settings.value(kind.key), settings.value(kind.url)
    is_bedrock = kind.name == "bedrock"
    if is_bedrock and not (settings.aws_access_key_id and settings.aws_region):
        return None
    made_by = {"key": key, "url": url, "either": key or url}[kind.made_by]
    if not made_by or not (url or kind.base_url):
        return None
    region = settings.aws_region if is_bedrock else None
    base_url = kind.address(url, region)
    return Provider(
        kind.name,
        kind.name,
        kind.wire_at(base_url),
        base_url,
        SecretStr(key) if key else None,
        access_key=settings.aws_access_key_id if is_bedrock else None,
        region=region,
        api_version=settings.azure_api_version if kind.name == "azure" else None,
    )
