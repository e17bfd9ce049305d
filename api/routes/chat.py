"""What clients of OpenAI's ask: a chat completion of an agent, and which agents there are."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep, ReadsDep
from api.documentation import CHAT, OPENAI_ERRORS
from api.turns.chat_completions import answer_chat
from api.wire.chat import ChatBody
from api.wire.completions import OpenAIModel, OpenAIModels
from o.domain.agents import Agent
from o.errors import NotBuilt, NotFound
from o.ids import is_id
from o.storage.agents.agents import NamedAgent, get_agent, list_named_agents

_MOST_MODELS = 1_000

router = APIRouter(tags=["chat"], responses=OPENAI_ERRORS)


@router.post(
    "/chat/completions",
    operation_id="create_chat_completion",
    summary="Speak to an agent as to a model of OpenAI's",
    response_model=None,
    responses=CHAT,
)
async def complete(body: ChatBody, request: Request, actor: ActorDep, parts: PartsDep) -> Response:
    """Say to the agent what is new in `messages`, and answer with all that it says in its turn."""
    return await answer_chat(request, parts, actor, body)


@router.post(
    "/voice-beta/{agent_id}/chat/completions",
    operation_id="create_voice_chat_completions",
    summary="Speak to an agent from a voice pipeline",
    response_model=None,
    responses=CHAT,
    deprecated=True,
)
async def complete_for_voice(
    agent_id: AgentId, body: ChatBody, request: Request, actor: ActorDep, parts: PartsDep
) -> Response:
    """The same as `/chat/completions`. The address names the agent, and `model` says nothing."""
    spoken = body.model_copy(update={"model": agent_id})
    return await answer_chat(request, parts, actor, spoken)


@router.get(
    "/models",
    operation_id="list_openai_models",
    summary="List agents as OpenAI lists models",
    response_model=OpenAIModels,
)
async def index(connection: ReadsDep, actor: ActorDep) -> Response:
    """The newest 1,000 agents. Behind `/v1/models/` are V1's models."""
    found = await list_named_agents(connection, actor, limit=_MOST_MODELS)
    return answer(OpenAIModels(data=[_shown(agent) for agent in found]))


@router.get(
    "/models/{model_id}",
    operation_id="retrieve_openai_model",
    summary="Show an agent as OpenAI shows a model",
    response_model=OpenAIModel,
)
async def show(
    model_id: Annotated[str, Path(description="The id of an agent")],
    connection: ReadsDep,
    actor: ActorDep,
) -> Response:
    """The agent by that id."""
    if not is_id(model_id, "agent"):
        raise NotFound(f"The model {model_id[:100]!r} does not exist")
    return answer(_shown(await get_agent(connection, actor, model_id)))


@router.post("/responses", include_in_schema=False)
@router.post("/completions", include_in_schema=False)
async def refuse(request: Request) -> None:
    """Say what to use instead of OpenAI's other ways to ask a model, which are not served."""
    raise NotBuilt(f"{request.url.path} is not served here: use /v1/chat/completions")


def _shown(agent: Agent | NamedAgent) -> OpenAIModel:
    return OpenAIModel(id=agent.id, created=int(agent.created_at.timestamp()), name=agent.name)
