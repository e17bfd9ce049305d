"""V1's sandbox configurations: only their variables count, the sandbox is the operator's."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.audit import note_target
from api.bodies import answer
from api.deps import ActorDep, PartsDep, ReadsDep, TransactionDep
from api.pagination import page_query
from api.wire.tool_variables import (
    CreateVariableBody,
    LocalConfigBody,
    SandboxConfigBody,
    SandboxConfigRequest,
    SandboxVariableBody,
    UpdateVariableBody,
    type_of,
)
from o.domain.actors import Actor
from o.domain.tool_variables import SandboxConfig, SandboxType
from o.ids import new_id, pattern
from o.storage.pages import Page
from o.storage.tools import sandbox_configs as stored
from o.storage.tools.variables import delete_variable

router = APIRouter(prefix="/sandbox-config", tags=["sandbox-config"])

ConfigId = Annotated[str, Path(alias="sandbox_config_id", pattern=pattern("sandbox"))]
VariableId = Annotated[str, Path(alias="env_var_id", pattern=pattern("sandbox-env"))]
ConfigPage = Annotated[Page, Depends(page_query(limit=50, most=1_000))]


@router.get(
    "/",
    operation_id="list_sandbox_configs",
    summary="List sandbox configurations",
    response_model=list[SandboxConfigBody],
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: ConfigPage,
    sandbox_type: SandboxType | None = None,
) -> Response:
    """The organization's configurations, one of each type at most."""
    found = await stored.list_configs(connection, actor, page, sandbox_type)
    return answer([SandboxConfigBody.of(one) for one in found])


@router.post(
    "/",
    operation_id="create_sandbox_config",
    summary="Create a sandbox configuration",
    response_model=SandboxConfigBody,
)
async def create(
    body: SandboxConfigRequest, connection: TransactionDep, actor: ActorDep, request: Request
) -> Response:
    """Create a configuration; one of its type that is there takes over its content."""
    return await _upsert(connection, _new(actor, body.type(), body.config), request)


@router.post(
    "/local",
    operation_id="create_custom_local_sandbox_config",
    summary="Create a local sandbox configuration",
    response_model=SandboxConfigBody,
)
async def create_local(
    body: LocalConfigBody, connection: TransactionDep, actor: ActorDep, request: Request
) -> Response:
    """Create the configuration of type `local`, or change it."""
    new = _new(actor, "local", body.model_dump(exclude_none=True))
    return await _upsert(connection, new, request)


@router.post(
    "/local/default",
    operation_id="create_default_local_sandbox_config",
    summary="Retrieve or create the local sandbox configuration",
    response_model=SandboxConfigBody,
)
async def default_local(connection: TransactionDep, actor: ActorDep, request: Request) -> Response:
    """The configuration of type `local`, made if it is not there."""
    return await _get_or_add(connection, _new(actor), request)


@router.post(
    "/local/recreate-venv",
    operation_id="force_recreate_local_sandbox_venv",
    summary="Retrieve the local sandbox configuration",
    response_model=SandboxConfigBody,
)
async def recreate_venv(connection: TransactionDep, actor: ActorDep, request: Request) -> Response:
    """There is no environment to be made anew: each tool has its own packages."""
    return await _get_or_add(connection, _new(actor), request)


@router.post(
    "/e2b/default",
    operation_id="create_default_e2b_sandbox_config",
    summary="Retrieve or create the E2B sandbox configuration",
    response_model=SandboxConfigBody,
)
async def default_e2b(connection: TransactionDep, actor: ActorDep, request: Request) -> Response:
    """The configuration of type `e2b`, made if it is not there. Tools run in O's own sandbox."""
    return await _get_or_add(connection, _new(actor, "e2b"), request)


@router.patch(
    "/environment-variable/{env_var_id}",
    operation_id="update_sandbox_env_var",
    summary="Change a variable of a sandbox configuration",
    response_model=SandboxVariableBody,
)
async def update_variable(
    env_var_id: VariableId,
    body: UpdateVariableBody,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
) -> Response:
    """Change a variable; tools that are called from now on see it so."""
    changes = body.model_dump(exclude_none=True)
    changed = await parts.variables.change(connection, actor, env_var_id, changes)
    return answer(SandboxVariableBody.of(changed))


@router.delete(
    "/environment-variable/{env_var_id}",
    operation_id="delete_sandbox_env_var",
    summary="Delete a variable of a sandbox configuration",
    status_code=204,
)
async def remove_variable(
    env_var_id: VariableId, connection: TransactionDep, actor: ActorDep
) -> None:
    """Delete a variable."""
    await delete_variable(connection, actor, env_var_id)


@router.patch(
    "/{sandbox_config_id}",
    operation_id="update_sandbox_config",
    summary="Change a sandbox configuration",
    response_model=SandboxConfigBody,
)
async def update(
    sandbox_config_id: ConfigId,
    body: SandboxConfigRequest,
    connection: TransactionDep,
    actor: ActorDep,
) -> Response:
    """Give a configuration another content."""
    before = await stored.get_config(connection, actor, sandbox_config_id)
    if "config" not in body.model_fields_set:
        return answer(SandboxConfigBody.of(before))
    type_ = type_of(body.config)
    changed = await stored.change_config(connection, actor, before.id, type_, body.config)
    return answer(SandboxConfigBody.of(changed))


@router.delete(
    "/{sandbox_config_id}",
    operation_id="delete_sandbox_config",
    summary="Delete a sandbox configuration",
    status_code=204,
)
async def delete(sandbox_config_id: ConfigId, connection: TransactionDep, actor: ActorDep) -> None:
    """Delete a configuration with its variables."""
    await stored.delete_config(connection, actor, sandbox_config_id)


@router.get(
    "/{sandbox_config_id}/environment-variable",
    operation_id="list_sandbox_env_vars",
    summary="List the variables of a sandbox configuration",
    response_model=list[SandboxVariableBody],
)
async def variables(
    sandbox_config_id: ConfigId,
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
    page: ConfigPage,
) -> Response:
    """The variables of a configuration, with their values, as V1 shows them."""
    await stored.get_config(connection, actor, sandbox_config_id)
    found = await parts.variables.list_of_config(connection, actor, sandbox_config_id, page)
    return answer([SandboxVariableBody.of(one) for one in found])


@router.post(
    "/{sandbox_config_id}/environment-variable",
    operation_id="create_sandbox_env_var",
    summary="Add a variable to a sandbox configuration",
    response_model=SandboxVariableBody,
)
async def add_variable(
    sandbox_config_id: ConfigId,
    body: CreateVariableBody,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
    request: Request,
) -> Response:
    """Add a variable, which every tool of the organization sees; an agent's own goes before it."""
    await stored.get_config(connection, actor, sandbox_config_id)
    added = await parts.variables.add_to_config(
        connection, actor, sandbox_config_id, body.key, body.value, body.description
    )
    note_target(request, added.id)
    return answer(SandboxVariableBody.of(added))


async def _upsert(connection: AsyncConnection, new: SandboxConfig, request: Request) -> Response:
    found = await stored.upsert_config(connection, new)
    note_target(request, found.id)
    return answer(SandboxConfigBody.of(found))


async def _get_or_add(
    connection: AsyncConnection, new: SandboxConfig, request: Request
) -> Response:
    found = await stored.get_or_add_config(connection, new)
    note_target(request, found.id)
    return answer(SandboxConfigBody.of(found))


def _new(
    actor: Actor, type_: SandboxType = "local", config: dict[str, Any] | None = None
) -> SandboxConfig:
    now = datetime.now(UTC)
    return SandboxConfig(
        id=new_id("sandbox"),
        organization_id=actor.organization_id,
        type=type_,
        config=config or {},
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
