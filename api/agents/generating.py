"""One answer of an agent's model, of which the agent learns nothing."""

import json
from typing import Any

from api.deps import Parts
from api.model_calls import IsGone, ask_model, find_writer
from api.wire.generation import GenerateBody, GeneratedBody
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.fallbacks import settings_for
from o.domain.json_bounds import parse_json
from o.domain.llm import ModelReply, ModelRequest, ToolSpec
from o.domain.text import storable_json
from o.domain.thoughts import must_not_be_forced
from o.errors import InvalidInput, ModelError
from o.mcp.schemas import Parameters, own_arguments, parameters_of
from o.storage.agents.agents import get_agent

_ANSWER = "give_answer"
_TOLD = "Gives your answer. Call it once, with all of the answer in its arguments, and say no more."


async def generate(
    parts: Parts, actor: Actor, agent_id: str, body: GenerateBody, is_gone: IsGone
) -> GeneratedBody:
    """Ask the agent's model, or the one that is named, without its memory, history and tools.

    Raises:
        NotFound: There is no such agent or model.
        InvalidArgument: What is named is no handle, or that of a model that embeds.
        InvalidInput: `response_schema` is none of an object.
        ModelError: There is no answer, or none by the schema.
    """
    shown = None if body.response_schema is None else _shown(body.response_schema)
    async with parts.database.connect() as connection:
        agent = await get_agent(connection, actor, agent_id)
    call = await _call(parts, actor, agent, body)
    if shown is not None:
        call = _with_schema(call, shown)
    reply = await ask_model(parts, actor, call, agent_id=agent.id, is_gone=is_gone)
    content = _text_of(reply) if shown is None else _json_of(reply, shown)
    return GeneratedBody.of(content, call.handle, reply)


async def _call(parts: Parts, actor: Actor, agent: Agent, body: GenerateBody) -> ModelRequest:
    """The agent's settings go to its own model only: another one may know none of them."""
    prompt = [{"role": "system", "content": body.system_prompt}] if body.system_prompt else []
    handle, window, settings = agent.model, agent.context_window, agent.model_settings
    if body.override_model and body.override_model != agent.model:
        entry = await find_writer(body.override_model, actor, parts.catalogue)
        handle, window, settings = entry.handle, entry.context_window, {}
    settings = settings_for(settings, 0)
    settings.pop("response_format", None)
    return ModelRequest(
        handle=handle,
        prompt=[*prompt, {"role": "user", "content": body.prompt}],
        settings=settings,
        context_window=window,
    )


def _shown(schema: dict[str, Any]) -> Parameters:
    """The schema as every model takes it."""
    if schema.get("type", "object") != "object":
        raise InvalidInput("response_schema: it must be the JSON schema of an object.")
    parameters = parameters_of(schema)
    if not parameters.schema["properties"]:
        raise InvalidInput(
            "response_schema: it has no 'properties', or more than a model can be shown."
        )
    return parameters


def _with_schema(call: ModelRequest, shown: Parameters) -> ModelRequest:
    forced = not must_not_be_forced(call.handle, call.settings)
    tool = ToolSpec(name=_ANSWER, description=_TOLD, parameters=shown.schema)
    return call.model_copy(update={"tools": [tool], "tool_choice": "required" if forced else None})


def _text_of(reply: ModelReply) -> str:
    if not reply.text.strip():
        raise ModelError(
            "llm_empty_response",
            "The model replied with no text.",
            detail=f"finish reason: {reply.finish_reason}",
        )
    return reply.text


def _json_of(reply: ModelReply, shown: Parameters) -> str:
    """What the call of the answer holds, or the text of a model that writes it without one."""
    written = reply.tool_calls[0].arguments if reply.tool_calls else reply.text
    try:
        found = storable_json(parse_json(written))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not set(shown.schema.get("required", ())) <= found.keys():
        raise ModelError(
            "llm_error", "The model gave no answer by response_schema.", detail=reply.text
        )
    return json.dumps(own_arguments(found, shown.own_names), ensure_ascii=False)
