"""Which agents and blocks have which identities: attach and detach."""

from fastapi import APIRouter, Response

from api.bodies import answer
from api.deps import ActorDep, AgentId, BlockId, IdentityId, TransactionDep
from o.storage.agents.agents import get_agent
from o.storage.agents.blocks import get_block, get_blocks
from o.storage.agents.identities import get_identities
from o.storage.agents.identity_links import AGENTS, BLOCKS, give_identity, take_identity

router = APIRouter()

_OF_AGENT = "/agents/{agent_id}/identities"
_OF_BLOCK = "/blocks/{block_id}/identities"


@router.patch(
    f"{_OF_AGENT}/attach/{{identity_id}}",
    operation_id="attach_identity_to_agent",
    summary="Give an agent an identity",
    tags=["agents"],
    response_model=None,
)
async def attach_to_agent(
    agent_id: AgentId, identity_id: IdentityId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the agent an identity; giving it again changes nothing."""
    await get_agent(connection, actor, agent_id, lock=True)
    await get_identities(connection, actor, [identity_id])
    await give_identity(connection, AGENTS, identity_id, [agent_id])
    return answer(None)


@router.patch(
    f"{_OF_AGENT}/detach/{{identity_id}}",
    operation_id="detach_identity_from_agent",
    summary="Take an identity from an agent",
    tags=["agents"],
    response_model=None,
)
async def detach_from_agent(
    agent_id: AgentId, identity_id: IdentityId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take an identity from the agent, which need not have it; the identity stays."""
    await get_agent(connection, actor, agent_id, lock=True)
    await get_identities(connection, actor, [identity_id])
    await take_identity(connection, AGENTS, identity_id, agent_id)
    return answer(None)


@router.patch(
    f"{_OF_BLOCK}/attach/{{identity_id}}",
    operation_id="attach_identity_to_block",
    summary="Give a memory block an identity",
    tags=["blocks"],
    response_model=None,
)
async def attach_to_block(
    block_id: BlockId, identity_id: IdentityId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the block an identity; giving it again changes nothing."""
    await get_blocks(connection, actor, [block_id])
    await get_identities(connection, actor, [identity_id])
    await give_identity(connection, BLOCKS, identity_id, [block_id])
    return answer(None)


@router.patch(
    f"{_OF_BLOCK}/detach/{{identity_id}}",
    operation_id="detach_identity_from_block",
    summary="Take an identity from a memory block",
    tags=["blocks"],
    response_model=None,
)
async def detach_from_block(
    block_id: BlockId, identity_id: IdentityId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take an identity from the block, which need not have it; the identity stays."""
    await get_block(connection, actor, block_id)
    await get_identities(connection, actor, [identity_id])
    await take_identity(connection, BLOCKS, identity_id, block_id)
    return answer(None)
