"""The blocks of an agent: list, retrieve, update."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.deps import ActorDep, AgentId, ReadsDep, TransactionDep
from api.pagination import page_of
from api.wire.blocks import BlockBody, UpdateBlockBody
from o.errors import Conflict
from o.storage import blocks as stored
from o.storage.agents import get_agent

router = APIRouter(prefix="/agents/{agent_id}/core-memory/blocks", tags=["agents"])


@router.get("", operation_id="list_core_memory_blocks")
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    order: Literal["asc", "desc"] = "desc",
) -> list[BlockBody]:
    """The agent's blocks, the newest first unless asked otherwise."""
    await get_agent(connection, actor, agent_id)
    blocks = await stored.list_agent_blocks(connection, actor, agent_id)
    ordered = blocks if order == "asc" else blocks[::-1]
    shown = page_of(ordered, before=before, after=after, limit=limit)
    return [BlockBody.of(block) for block in shown]


@router.get("/{block_label}", operation_id="retrieve_core_memory_block")
async def retrieve(
    agent_id: AgentId, block_label: str, connection: ReadsDep, actor: ActorDep
) -> BlockBody:
    """One block, by its label."""
    return BlockBody.of(await stored.get_agent_block(connection, actor, agent_id, block_label))


@router.patch("/{block_label}", operation_id="modify_core_memory_block")
async def update(
    agent_id: AgentId,
    block_label: str,
    body: UpdateBlockBody,
    connection: TransactionDep,
    actor: ActorDep,
) -> BlockBody:
    """Change a block, also a read-only one. Every agent that has it sees it at its next turn."""
    block = await stored.get_agent_block(connection, actor, agent_id, block_label, lock=True)
    changes = body.changes()
    if not changes:
        return BlockBody.of(block)
    label = changes.get("label", block.label)
    if label != block.label and await stored.label_is_taken(connection, block.id, label):
        raise Conflict(f"An agent that has this block has another one with the label {label!r}")
    return BlockBody.of(await stored.change_block(connection, actor, block, changes))
