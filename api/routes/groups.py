"""Groups of agents: create, list, count, retrieve, change, delete, their blocks and messages.

V1 runs them; here they are kept and shown, so that nothing of them is lost.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.agents.resetting import reset_own_thread
from api.bodies import answer, messages_answer
from api.deps import (
    ActorDep,
    AgentId,
    BlockId,
    GroupId,
    PartsDep,
    ReadsDep,
    TransactionDep,
)
from api.documentation import REFUSED
from api.pagination import page_query
from api.wire.groups import CreateGroupBody, GroupBody, UpdateGroupBody, group_bodies
from api.wire.messages import MessageView
from api.wire.shown import ShownMessage
from o.domain.actors import Actor
from o.domain.blocks import Block
from o.domain.groups import ManagerType
from o.errors import NotBuilt, NotFound
from o.storage.agents import groups as stored
from o.storage.agents.agent_blocks import attach_blocks, detach_block_from
from o.storage.agents.agents import get_agent, lock_agents
from o.storage.agents.blocks import get_blocks
from o.storage.history.all_messages import list_all_messages
from o.storage.pages import Page

router = APIRouter(tags=["groups"])

OldestFirst = Annotated[Page, Depends(page_query(limit=50, most=1_000, order="asc"))]
_NOT_RUN = (
    "NOT_IMPLEMENTED: groups are kept and shown, and not run: send the message to one of the "
    "group's agents (POST /v1/agents/{agent_id}/messages), or give agents the tools by which they "
    "write to each other (include_multi_agent_tools)."
)


@router.post(
    "/groups/", operation_id="create_group", summary="Create a group", response_model=GroupBody
)
async def create(
    body: CreateGroupBody,
    connection: TransactionDep,
    actor: ActorDep,
    x_project_id: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Put agents together. Blocks that are shared are given to each of them."""
    blocks = await get_blocks(connection, actor, body.block_ids)
    await _lock(connection, actor, body.agent_ids, body.manager_id)
    group = body.to_group(actor, body.project_id or x_project_id, datetime.now(UTC))
    await stored.add_group(connection, group)
    await _share(connection, group.agent_ids, blocks)
    return await _answer(connection, actor, group.id)


@router.get(
    "/groups/", operation_id="list_groups", summary="List groups", response_model=list[GroupBody]
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: OldestFirst,
    manager_type: ManagerType | None = None,
    project_id: str | None = None,
    show_hidden_groups: Annotated[bool, Query(include_in_schema=False)] = False,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """Groups by the time they were made, the oldest first unless asked otherwise."""
    wanted = stored.GroupFilter(manager_type, project_id, with_hidden=show_hidden_groups)
    return answer(group_bodies(await stored.list_groups(connection, actor, wanted, page)))


@router.get(
    "/groups/count", operation_id="count_groups", summary="Count groups", response_model=int
)
async def count(connection: ReadsDep, actor: ActorDep) -> Response:
    """How many groups there are."""
    return answer(await stored.count_groups(connection, actor))


@router.get(
    "/groups/{group_id}",
    operation_id="retrieve_group",
    summary="Retrieve a group",
    response_model=GroupBody,
)
async def retrieve(group_id: GroupId, connection: ReadsDep, actor: ActorDep) -> Response:
    """One group."""
    return await _answer(connection, actor, group_id)


@router.patch(
    "/groups/{group_id}",
    operation_id="modify_group",
    summary="Change a group",
    response_model=GroupBody,
)
async def update(
    group_id: GroupId, body: UpdateGroupBody, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Change what the request names. Its agents have the blocks that it shares from then on."""
    before = await stored.get_group(connection, actor, group_id)  # that it is missing comes first
    agent_ids = before.agent_ids if body.agent_ids is None else body.agent_ids
    shared_ids = before.shared_block_ids if body.block_ids is None else body.block_ids
    blocks = await get_blocks(connection, actor, shared_ids)
    await _lock(connection, actor, [*agent_ids, *before.agent_ids], body.manager_id)
    before = await stored.get_group(connection, actor, group_id, lock=True)
    await stored.change_group(connection, actor, group_id, body.changes(before))
    if body.agent_ids is not None:
        await stored.set_group_agents(connection, group_id, body.agent_ids)
    if body.block_ids is not None:
        await stored.set_group_blocks(connection, group_id, body.block_ids)
        for block_id in set(before.shared_block_ids) - set(body.block_ids):
            await detach_block_from(connection, before.agent_ids, block_id)
    if body.agent_ids is not None or body.block_ids is not None:
        await _share(connection, list(dict.fromkeys(agent_ids)), blocks)
    return await _answer(connection, actor, group_id)


@router.delete(
    "/groups/{group_id}", operation_id="delete_group", summary="Delete a group", response_model=None
)
async def delete(group_id: GroupId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete a group; its agents stay, with their blocks and messages."""
    await stored.delete_group(connection, actor, group_id)
    return answer(None)


@router.patch(
    "/groups/{group_id}/blocks/attach/{block_id}",
    operation_id="attach_block_to_group",
    summary="Share a memory block in a group",
    response_model=None,
)
async def attach_block(
    group_id: GroupId, block_id: BlockId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the block to the group and all its agents; giving it again changes nothing."""
    before = await stored.get_group(connection, actor, group_id)
    blocks = await get_blocks(connection, actor, [block_id])
    await lock_agents(connection, actor, before.agent_ids)
    before = await stored.get_group(connection, actor, group_id, lock=True)
    await stored.set_group_blocks(connection, group_id, [*before.shared_block_ids, block_id])
    await _share(connection, before.agent_ids, blocks)
    return answer(None)


@router.patch(
    "/groups/{group_id}/blocks/detach/{block_id}",
    operation_id="detach_block_from_group",
    summary="Take a memory block from a group",
    response_model=None,
)
async def detach_block(
    group_id: GroupId, block_id: BlockId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take the block from the group and all its agents; the block stays."""
    before = await stored.get_group(connection, actor, group_id)
    if block_id not in before.shared_block_ids:
        raise NotFound(f"Block with id {block_id} is not attached to group {group_id}")
    await lock_agents(connection, actor, before.agent_ids)
    before = await stored.get_group(connection, actor, group_id, lock=True)
    kept = [one for one in before.shared_block_ids if one != block_id]
    await stored.set_group_blocks(connection, group_id, kept)
    await detach_block_from(connection, before.agent_ids, block_id)
    return answer(None)


@router.get(
    "/groups/{group_id}/messages",
    operation_id="list_group_messages",
    summary="List the messages of a group",
    response_model=list[ShownMessage],
)
async def messages(
    group_id: GroupId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=10))],
    include_return_message_types: Annotated[list[str] | None, Query()] = None,
    use_assistant_message: bool = True,
    assistant_message_tool_name: str = "send_message",
    assistant_message_tool_kwarg: str = "message",
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """The messages of its agents' own threads, the newest first unless asked otherwise."""
    group = await stored.get_group(connection, actor, group_id)
    view = MessageView(
        use_assistant_message, assistant_message_tool_name, assistant_message_tool_kwarg
    )
    found = await list_all_messages(
        connection,
        actor,
        page,
        own_threads_of=group.agent_ids,
        types=include_return_message_types,
        says=view.speaking_tool,
    )
    return messages_answer(found, view=view, types=include_return_message_types)


@router.post("/groups/{group_id}/messages", include_in_schema=False, response_model=None)
@router.post("/groups/{group_id}/messages/stream", include_in_schema=False, response_model=None)
async def send(group_id: GroupId) -> None:
    """V1 ran groups; what there is instead is said."""
    raise NotBuilt(_NOT_RUN)


@router.patch(
    "/groups/{group_id}/messages/{message_id}",
    operation_id="modify_group_message",
    summary="Change a message of a group (always refused)",
    status_code=405,
    responses=REFUSED,
)
async def modify_message(group_id: GroupId, message_id: str) -> None:
    """V1 keeps this route and refuses every change: messages are immutable."""
    raise HTTPException(405, "Messages cannot be modified", headers={"allow": "POST"})


@router.patch(
    "/groups/{group_id}/reset-messages",
    operation_id="reset_group_messages",
    summary="Reset the messages of a group",
    response_model=None,
)
async def reset(group_id: GroupId, actor: ActorDep, parts: PartsDep) -> Response:
    """Delete what the list of the group's messages shows: its agents' own threads begin anew."""
    async with parts.database.connect() as connection:
        group = await stored.get_group(connection, actor, group_id)
    for agent_id in group.agent_ids:
        await reset_own_thread(parts, actor, agent_id)
    return answer(None)


@router.get(
    "/agents/{agent_id}/groups",
    operation_id="list_groups_for_agent",
    summary="List the groups of an agent",
    tags=["agents"],
    response_model=list[GroupBody],
)
async def of_agent(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, most=1_000))],
    manager_type: str | None = None,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """The groups that the agent is in, the newest first unless asked otherwise."""
    await get_agent(connection, actor, agent_id)
    wanted = stored.GroupFilter(manager_type, agent_id=agent_id, with_hidden=True)
    return answer(group_bodies(await stored.list_groups(connection, actor, wanted, page)))


async def _lock(
    connection: AsyncConnection, actor: Actor, agent_ids: list[str], manager_id: str | None
) -> None:
    """See that the agents are there, all at once, so that they are locked in order."""
    manager = [] if manager_id is None else [manager_id]
    await lock_agents(connection, actor, [*agent_ids, *manager])


async def _share(connection: AsyncConnection, agent_ids: list[str], blocks: list[Block]) -> None:
    for agent_id in agent_ids:
        await attach_blocks(connection, agent_id, blocks)


async def _answer(connection: AsyncConnection, actor: Actor, group_id: str) -> Response:
    return answer(GroupBody.of(await stored.get_group(connection, actor, group_id)))
