"""What a model is asked for outside of any turn: a text for an agent's owner, or a tool."""

from fastapi import APIRouter, Request, Response

from api.agents.generating import generate
from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep
from api.documentation import FAILURES
from api.errors import model_failed
from api.tools.generated_tools import generate_tool
from api.wire.generation import (
    GenerateBody,
    GeneratedBody,
    GeneratedToolBody,
    GenerateToolBody,
)
from o.errors import ModelError

router = APIRouter(responses=FAILURES)


@router.post(
    "/agents/{agent_id}/generate",
    operation_id="generate_completion",
    summary="Ask an agent's model directly",
    response_model=GeneratedBody,
    tags=["agents"],
)
async def complete(
    request: Request, agent_id: AgentId, body: GenerateBody, actor: ActorDep, parts: PartsDep
) -> Response:
    """Ask once, without memory, history and tools of the agent, which learns nothing of it.

    With `response_schema` the answer is JSON by that schema.
    """
    try:
        return answer(await generate(parts, actor, agent_id, body, request.is_disconnected))
    except ModelError as error:
        return model_failed(error)


@router.post(
    "/tools/generate-tool",
    operation_id="generate_tool",
    summary="Have a model write a tool",
    response_model=GeneratedToolBody,
    tags=["tools"],
)
async def write_tool(
    request: Request, body: GenerateToolBody, actor: ActorDep, parts: PartsDep
) -> Response:
    """Have the source of a tool written, and its schema derived. Nothing is run or stored."""
    try:
        return answer(await generate_tool(parts, actor, body, request.is_disconnected))
    except ModelError as error:
        return model_failed(error)
