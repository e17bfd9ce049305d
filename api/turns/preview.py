"""The request that a send would make of its model, made and not sent."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from api.agents.prompts import compiled_prompt
from api.deps import Parts
from api.wire.turns import SendBody
from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation, Thread
from o.domain.messages import InputMessage, Message
from o.domain.rules.kinds import rule_state
from o.errors import InvalidArgument
from o.ids import derived_id
from o.llm.requests.bodies import chat_body
from o.memory.context import Prompt
from o.memory.prompt import prompt_of_request, system_message
from o.storage.agents.agents import get_agent
from o.storage.agents.conversations import get_thread
from o.storage.history.window import read_window
from o.storage.tools.tools import find_tools
from o.tools.model_request import model_request


async def preview_request(
    connection: AsyncConnection, parts: Parts, actor: Actor, thread: Thread, body: SendBody
) -> dict[str, Any]:
    """The body of the first model call of a send, in the shape of the OpenAI wire.

    Nothing is stored, and runs that are open are left out of account.

    Raises:
        NotFound: There is no such agent, conversation or model.
        InvalidArgument: What is sent is an answer to an approval, which calls tools first.
    """
    if body.to_decisions() is not None:
        raise InvalidArgument("INVALID_ARGUMENT: an answer to an approval has no preview")
    conversation = await get_thread(connection, actor, thread)
    agent = conversation.agent_here(await get_agent(connection, actor, conversation.agent_id))
    now = datetime.now(UTC)
    text, _ = await compiled_prompt(connection, conversation, agent, now)
    prompt = Prompt()
    if not agent.message_buffer_autoclear:
        window = await read_window(connection, conversation)
        for message in [window.summary, *window.messages] if window.summary else window.messages:
            prompt.add(agent, message)
    for place, given in enumerate(body.to_input()):
        prompt.add(agent, _as_message(agent, conversation, given, place, now))
    options = body.to_options(streams=body.streaming)
    system = prompt_of_request(system_message(agent, conversation, text, now), options)
    handle = body.override_model or agent.model
    entry = await parts.catalogue.get(handle, actor.organization_id)
    request = model_request(
        agent,
        handle,
        prompt.chat(system, handle),
        rule_state(agent.tool_rules, agent.tool_names, []),
        options.client_tools or (),
        await find_tools(connection, actor.organization_id, names=agent.tool_names, lock=False),
    )
    streams = body.streaming and body.stream_tokens
    return chat_body(entry.provider, entry.model, request, streams=streams)


def _as_message(
    agent: Agent, conversation: Conversation, given: InputMessage, place: int, now: datetime
) -> Message:
    return Message(
        **given.model_dump(),
        id=derived_id("message", conversation.id, "preview", place),
        organization_id=agent.organization_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        position=conversation.next_position + place,
        created_at=now,
    )
