"""The history of a block: its versions, what changed between two, undo, redo. O's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from api.bodies import answer, block_answer
from api.deps import ActorDep, BlockId, ExpectedVersionDep, PartsDep, ReadsDep, TransactionDep
from api.documentation import OUTDATED
from api.pagination import page_query
from api.wire.block_versions import BlockDiffBody, BlockVersionBody, WholeBlockVersionBody
from api.wire.blocks import BlockBody
from o.domain.blocks import BlockVersion
from o.memory.diff import unified_diff
from o.storage.agents import block_versions as stored
from o.storage.pages import Page

_MOST = 10**15
Version = Annotated[int, Path(ge=1, le=_MOST)]

router = APIRouter(prefix="/blocks/{block_id}", tags=["blocks"])


@router.get(
    "/versions",
    operation_id="list_block_versions",
    summary="List the versions of a memory block",
    response_model=list[BlockVersionBody],
)
async def index(
    block_id: BlockId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=50, most=1_000))],
) -> Response:
    """Who changed the block, how and when, the newest first; cursors are numbers of versions."""
    found = await stored.list_versions(connection, actor, block_id, page)
    return answer([BlockVersionBody.of(version) for version in found])


@router.delete(
    "/versions",
    operation_id="forget_block_versions",
    summary="Delete the history of a memory block",
    response_model=int,
)
async def forget(block_id: BlockId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete all versions but the newest, which the block holds. Answers how many they were."""
    return answer(await stored.forget_versions(connection, actor, block_id))


@router.get(
    "/versions/{version}",
    operation_id="retrieve_block_version",
    summary="Retrieve a version of a memory block",
    response_model=WholeBlockVersionBody,
)
async def retrieve(
    block_id: BlockId, version: Version, connection: ReadsDep, actor: ActorDep
) -> Response:
    """The block as it was."""
    found = await stored.get_version(connection, actor, block_id, version)
    return answer(WholeBlockVersionBody.of(found))


@router.get(
    "/diff",
    operation_id="diff_block_versions",
    summary="Show what changed between two versions of a memory block",
    response_model=BlockDiffBody,
)
async def diff(
    block_id: BlockId,
    connection: ReadsDep,
    actor: ActorDep,
    from_version: Annotated[int, Query(ge=1, le=_MOST)],
    to_version: Annotated[int, Query(ge=1, le=_MOST)],
    context: Annotated[int, Query(ge=0, le=1_000, description="Lines around each change")] = 3,
) -> Response:
    """The value's lines in the unified format, as `memory_apply_patch` takes them too."""
    numbers = from_version, to_version
    found = await stored.find_versions(connection, actor, block_id, numbers)
    old, new = (found[number] for number in numbers)
    # In a thread: comparing long values takes up to some tenths of a second.
    shown = await asyncio.to_thread(
        unified_diff,
        old.value or "",
        new.value or "",
        names=(f"version {from_version}", f"version {to_version}"),
        context=context,
    )
    body = BlockDiffBody(
        block_id=block_id,
        from_version=from_version,
        to_version=to_version,
        diff=shown.text,
        is_exact=shown.is_exact,
        fields=_changed_fields(old, new),
    )
    return answer(body)


async def _steps(
    block_id: BlockId,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
    expected_version: ExpectedVersionDep,
) -> Callable[[stored.Direction], Awaitable[Response]]:
    """What undoes or redoes a change of the block that a request names."""

    async def step(direction: stored.Direction) -> Response:
        changed = await stored.step_through(
            connection,
            actor,
            block_id,
            direction,
            expected_version=expected_version,
            enforce_limit=parts.settings.enforces_block_limit,
        )
        return block_answer(changed)

    return step


StepDep = Annotated[Callable[[stored.Direction], Awaitable[Response]], Depends(_steps)]


@router.post(
    "/undo",
    operation_id="undo_block",
    summary="Undo the newest change of a memory block",
    response_model=BlockBody,
    responses=OUTDATED,
)
async def undo(step: StepDep) -> Response:
    """Make a version that holds what the block held before. Undone changes can be redone."""
    return await step("undo")


@router.post(
    "/redo",
    operation_id="redo_block",
    summary="Redo what was undone last of a memory block",
    response_model=BlockBody,
    responses=OUTDATED,
)
async def redo(step: StepDep) -> Response:
    """Make a version that holds what was undone, unless the block was changed since."""
    return await step("redo")


@router.post(
    "/versions/{version}/restore",
    operation_id="restore_block_version",
    summary="Restore a version of a memory block",
    response_model=BlockBody,
    responses=OUTDATED,
)
async def restore(
    block_id: BlockId,
    version: Version,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
    expected_version: ExpectedVersionDep,
) -> Response:
    """Change the block to what it was then; undo takes it back, as any other change."""
    changed = await stored.restore_version(
        connection,
        actor,
        block_id,
        version,
        expected_version=expected_version,
        enforce_limit=parts.settings.enforces_block_limit,
    )
    return block_answer(changed)


def _changed_fields(old: BlockVersion, new: BlockVersion) -> dict[str, list[Any]]:
    """What else differs, by V1's name; what one of the two did not keep is not compared."""
    was, now = (_named(version) for version in (old, new))
    return {name: [was[name], now[name]] for name in was if name in now and was[name] != now[name]}


def _named(version: BlockVersion) -> dict[str, Any]:
    held = {name: value for name, value in version.content.items() if name != "value"}
    return {"limit" if name == "limit_chars" else name: value for name, value in held.items()}
