"""The blocks of an agent: list, retrieve, change, attach, detach; and all of them at once."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.convertors import Convertor, register_url_convertor

from api.agents.agent_answers import agent_answer
from api.bodies import answer, block_answer
from api.deps import (
    ActorDep,
    AgentId,
    BlockId,
    ExpectedVersionDep,
    PartsDep,
    ReadsDep,
    TransactionDep,
)
from api.documentation import OUTDATED
from api.pagination import page_of, page_query
from api.wire.agents import AgentBody
from api.wire.blocks import BlockBody, MemoryBody, UpdateBlockBody, block_bodies
from o.storage.agents import agent_blocks as stored
from o.storage.agents.agents import get_agent, get_agent_state
from o.storage.agents.blocks import change_block, get_blocks
from o.storage.pages import Page


class _LabelConvertor(Convertor[str]):
    """A label at the end of an address: it may have slashes, but not end in one."""

    regex = "(?s:.*[^/])"

    def convert(self, value: str) -> str:
        """The label as it came."""
        return value

    def to_string(self, value: str) -> str:
        """The label as it is."""
        return value


register_url_convertor("label", _LabelConvertor())

router = APIRouter(prefix="/agents/{agent_id}/core-memory", tags=["agents"])


@router.get(
    "",
    operation_id="retrieve_agent_memory",
    summary="Retrieve the memory blocks of an agent in one piece",
    response_model=MemoryBody,
    deprecated=True,
)
async def memory(agent_id: AgentId, connection: ReadsDep, actor: ActorDep) -> Response:
    """All of the agent's blocks, in the order of its prompt."""
    agent = await get_agent(connection, actor, agent_id)
    blocks = await stored.list_agent_blocks(connection, actor, agent_id)
    return answer(MemoryBody(agent_type=agent.agent_type, blocks=block_bodies(blocks)))


@router.get(
    "/blocks",
    operation_id="list_core_memory_blocks",
    summary="List the memory blocks of an agent",
    response_model=list[BlockBody],
)
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, most=1_000))],
) -> Response:
    """The agent's blocks, the last of its prompt first unless asked otherwise."""
    blocks = await stored.list_agent_blocks(connection, actor, agent_id)
    return answer(block_bodies(page_of(blocks, page)))


@router.patch(
    "/blocks/attach/{block_id}",
    operation_id="attach_core_memory_block",
    summary="Attach a memory block to an agent",
    response_model=AgentBody,
)
async def attach(
    agent_id: AgentId, block_id: BlockId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the agent a block; giving it again changes nothing."""
    await get_agent(connection, actor, agent_id)  # that it is missing is said first
    blocks = await get_blocks(connection, actor, [block_id])
    await get_agent(connection, actor, agent_id, lock=True)
    await stored.attach_blocks(connection, agent_id, blocks)
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.patch(
    "/blocks/detach/{block_id}",
    operation_id="detach_core_memory_block",
    summary="Detach a memory block from an agent",
    response_model=AgentBody,
)
async def detach(
    agent_id: AgentId, block_id: BlockId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take a block from the agent; the block stays."""
    await get_agent(connection, actor, agent_id, lock=True)
    await stored.detach_block(connection, agent_id, block_id)
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


# Labels may have slashes, so these come last.
@router.get(
    "/blocks/{block_label:label}",
    operation_id="retrieve_core_memory_block",
    summary="Retrieve a memory block of an agent",
    response_model=BlockBody,
)
async def retrieve(
    agent_id: AgentId, block_label: str, connection: ReadsDep, actor: ActorDep
) -> Response:
    """One block, by its label."""
    return block_answer(await stored.get_agent_block(connection, actor, agent_id, block_label))


@router.patch(
    "/blocks/{block_label:label}",
    operation_id="modify_core_memory_block",
    summary="Change a memory block of an agent",
    response_model=BlockBody,
    responses=OUTDATED,
)
async def update(
    agent_id: AgentId,
    block_label: str,
    body: UpdateBlockBody,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
    expected_version: ExpectedVersionDep,
) -> Response:
    """Change a block, also a read-only one. Every agent that has it sees it at its next turn."""
    block = await stored.get_agent_block(connection, actor, agent_id, block_label, lock=True)
    changed = await change_block(
        connection,
        actor,
        block.id,
        body.changes(),
        expected_version=expected_version,
        enforce_limit=parts.settings.enforces_block_limit,
    )
    return block_answer(changed)
