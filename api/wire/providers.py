"""V1's spelling of providers of models."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, Field

from api.wire.fields import EntityTime, RequestBody, with_example
from o.addresses import check_base_url
from o.domain.providers import ProviderRecord
from o.errors import InvalidInput
from o.llm.providers.listing import ListedModel
from o.llm.providers.provider_types import find_type
from o.llm.providers.providers import ANY_MODEL, Provider

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_RESERVED = {handle.partition("/")[0] for handle in ANY_MODEL} | {"openai-proxy"}
MAX_SECRET_CHARS = 10_000


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a provider's name is the first part of its handles: 1 to 64 of the characters "
            "A-Z a-z 0-9 . _ -, beginning and ending with a letter or digit"
        )
    if name.lower() in _RESERVED:
        raise ValueError("handles with this name have a meaning of their own; choose another name")
    return name


def _checked_type(name: str) -> str:
    try:
        return find_type(name).name
    except InvalidInput as error:
        raise ValueError(error.message) from None


def _checked_secret(secret: str) -> str:
    secret = secret.strip()  # what was pasted ends in a line's end
    if not (secret.isascii() and secret.isprintable()):
        raise ValueError("holds characters that no header can carry")
    return secret


def _checked_url(url: str) -> str:
    return check_base_url(url) if url.strip() else ""


Name = Annotated[str, AfterValidator(_checked_name)]
Type = Annotated[str, Field(max_length=100), AfterValidator(_checked_type)]
Secret = Annotated[str, Field(max_length=MAX_SECRET_CHARS), AfterValidator(_checked_secret)]
Url = Annotated[str, AfterValidator(_checked_url)]
# They become parts of addresses.
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]{0,50}$")]
ApiVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,50}$")]


class _ProviderFields(RequestBody):
    """What all of V1's bodies hold. Nothing of the secrets is ever repeated to anybody."""

    api_key: Secret | None = None
    access_key: Secret | None = None
    region: Region | None = None
    base_url: Url | None = None
    api_version: ApiVersion | None = None


class CheckProviderBody(_ProviderFields):
    """V1's `ProviderCheck`."""

    model_config = with_example(
        provider_type="vllm", api_key="x", base_url="http://127.0.0.1:8000/v1"
    )

    provider_type: Type

    def check_whole(self) -> None:
        """See that nothing is missing without which such a provider is of no use.

        Raises:
            InvalidInput: It needs an address, a region or a key.
        """
        kind = find_type(self.provider_type)
        kind.address(self.base_url, self.region)
        if kind.made_by != "url" and not self.api_key and not self.base_url:
            raise InvalidInput(f"A provider of type {kind.name} needs its api_key.")


class CreateProviderBody(CheckProviderBody):
    """V1's `ProviderCreate`."""

    model_config = with_example(
        name="my-vllm", provider_type="vllm", api_key="x", base_url="http://127.0.0.1:8000/v1"
    )

    name: Name


class UpdateProviderBody(_ProviderFields):
    """V1's `ProviderUpdate`, of which nothing is required here: what is named is changed.

    Null and empty text clear a field, but null leaves `api_key` as it is.
    """

    model_config = with_example(api_key="sk-...")

    def changes(self) -> dict[str, str | None]:
        """Column to value, for what was given; secrets as they came."""
        given = self.model_dump(exclude_unset=True)
        if given.get("api_key", "") is None:
            del given["api_key"]
        return {name: value or None for name, value in given.items()}


class ProviderBody(BaseModel):
    """V1's `Provider`. Its keys are never shown, which V1 has deprecated."""

    id: str
    name: str
    provider_type: str
    provider_category: Literal["base", "byok"]
    api_key: str | None = None
    base_url: str | None
    access_key: str | None = None
    region: str | None
    organization_id: str
    api_version: str | None
    updated_at: EntityTime | None
    last_synced: EntityTime | None
    api_key_enc: str | None = None
    access_key_enc: str | None = None

    @classmethod
    def of(cls, record: ProviderRecord, provider: Provider) -> Self:
        """A provider as V1 shows it: its row, and what the row stands for."""
        return cls(
            id=record.id,
            name=record.name,
            provider_type=record.provider_type,
            provider_category="base" if record.origin == "environment" else "byok",
            base_url=_without_user(provider.base_url),
            region=provider.region,
            organization_id=record.organization_id,
            api_version=provider.api_version,
            updated_at=record.updated_at,
            last_synced=record.last_synced,
        )


class ProviderCheckedBody(BaseModel):
    """What a check that went well is answered."""

    message: str

    @classmethod
    def of(cls, provider_type: str, models: Sequence[ListedModel] | None) -> Self:
        """In words."""
        if models is None:
            return cls(message=f"provider_type={provider_type} lists no models: nothing was asked")
        return cls(message=f"Valid api key for provider_type={provider_type}: {len(models)} models")


class ProviderDeletedBody(BaseModel):
    """What a deletion is answered."""

    message: str

    @classmethod
    def of(cls, provider_id: str) -> Self:
        """In V1's words."""
        return cls(message=f"Provider id={provider_id} successfully deleted")


def _without_user(url: str) -> str:
    """An address without the user and password that an operator may have put into it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
