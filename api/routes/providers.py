"""Providers of models: create, list, retrieve, change, delete, check and refresh."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Request, Response

from api.access.audit import note_target
from api.bodies import answer
from api.deps import ActorDep, PartsDep, TransactionDep, refuse_category
from api.documentation import FAILURES
from api.pagination import page_query
from api.providers import check_address, provider_to_check
from api.wire.providers import (
    CheckProviderBody,
    CreateProviderBody,
    ProviderBody,
    ProviderCheckedBody,
    ProviderDeletedBody,
    Type,
    UpdateProviderBody,
)
from o.ids import pattern
from o.llm.providers.listing import list_models
from o.storage import providers as stored
from o.storage.pages import Page

router = APIRouter(prefix="/providers", tags=["providers"], dependencies=[Depends(refuse_category)])
ProviderId = Annotated[str, Path(pattern=pattern("provider"))]
PageDep = Annotated[Page, Depends(page_query(limit=50, most=1_000))]


@router.get(
    "/",
    operation_id="list_providers",
    summary="List providers of models",
    response_model=list[ProviderBody],
)
async def index(
    parts: PartsDep,
    connection: TransactionDep,
    actor: ActorDep,
    page: PageDep,
    name: str | None = None,
    provider_type: Type | None = None,
) -> Response:
    """Those of the environment and those made here, the newest first unless asked otherwise."""
    book = parts.providers
    await book.bring_environment(connection, actor)
    found = await stored.list_providers(
        connection,
        actor,
        page,
        in_environment=book.names_in_environment,
        name=name,
        provider_type=provider_type,
    )
    return answer([ProviderBody.of(record, book.provider_of(record)) for record in found])


@router.post(
    "/", operation_id="create_provider", summary="Create a provider", response_model=ProviderBody
)
async def create(
    body: CreateProviderBody,
    parts: PartsDep,
    connection: TransactionDep,
    actor: ActorDep,
    request: Request,
) -> Response:
    """Create a provider. Its models can be used at once, as `<name>/<model id>`."""
    await check_address(parts.outbound, actor, provider_to_check(body).base_url)
    record = await parts.providers.create(connection, actor, body)
    note_target(request, record.id)
    return answer(ProviderBody.of(record, parts.providers.provider_of(record)))


@router.post(
    "/check",
    operation_id="check_provider",
    summary="Check a provider before it is created",
    response_model=ProviderCheckedBody,
    responses=FAILURES,
)
async def check(body: CheckProviderBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Ask a provider for its models with this key. Nothing is stored."""
    provider = provider_to_check(body, None if actor.key_id is None else parts.outbound)
    await check_address(parts.outbound, actor, provider.base_url)
    models = await list_models(provider)
    return answer(ProviderCheckedBody.of(body.provider_type, models))


@router.get(
    "/{provider_id}",
    operation_id="retrieve_provider",
    summary="Retrieve a provider",
    response_model=ProviderBody,
)
async def retrieve(
    provider_id: ProviderId, parts: PartsDep, connection: TransactionDep, actor: ActorDep
) -> Response:
    """One provider. Its key is never shown."""
    record = await parts.providers.get(connection, actor, provider_id)
    return answer(ProviderBody.of(record, parts.providers.provider_of(record)))


@router.patch(
    "/{provider_id}",
    operation_id="modify_provider",
    summary="Change a provider",
    response_model=ProviderBody,
)
async def update(
    provider_id: ProviderId,
    body: Annotated[UpdateProviderBody, Body()],
    parts: PartsDep,
    connection: TransactionDep,
    actor: ActorDep,
) -> Response:
    """Change a provider's key or address, for every call from now on."""
    await check_address(parts.outbound, actor, body.base_url)
    record = await parts.providers.change(connection, actor, provider_id, body)
    return answer(ProviderBody.of(record, parts.providers.provider_of(record)))


@router.delete(
    "/{provider_id}",
    operation_id="delete_provider",
    summary="Delete a provider",
    response_model=ProviderDeletedBody,
)
async def delete(
    provider_id: ProviderId, parts: PartsDep, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Delete a provider with its key. Its name is free at once."""
    await parts.providers.delete(connection, actor, provider_id)
    return answer(ProviderDeletedBody.of(provider_id))


@router.post(
    "/{provider_id}/check",
    operation_id="check_existing_provider",
    summary="Check a provider",
    response_model=ProviderCheckedBody,
    responses=FAILURES,
)
async def check_existing(provider_id: ProviderId, parts: PartsDep, actor: ActorDep) -> Response:
    """Ask a provider for its models with the key that it has."""
    async with parts.database.begin() as connection:
        record = await parts.providers.get(connection, actor, provider_id)
    models = await list_models(parts.providers.provider_of(record))
    return answer(ProviderCheckedBody.of(record.provider_type, models))


@router.patch(
    "/{provider_id}/refresh",
    operation_id="refresh_provider_models",
    summary="Ask a provider for its models anew",
    response_model=ProviderBody,
    responses=FAILURES,
)
async def refresh(provider_id: ProviderId, parts: PartsDep, actor: ActorDep) -> Response:
    """Ask a provider for its models now. Lists do so themselves once a minute."""
    async with parts.database.begin() as connection:
        record = await parts.providers.get(connection, actor, provider_id)
    await parts.catalogue.ask_anew(parts.providers.provider_of(record))
    async with parts.database.begin() as connection:
        record = await stored.note_synced(connection, actor, provider_id)
    return answer(ProviderBody.of(record, parts.providers.provider_of(record)))
