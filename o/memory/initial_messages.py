"""The messages that a conversation begins with: the one place where they are made."""

from collections.abc import Sequence
from datetime import datetime

from o.domain.agents import Agent, Conversation
from o.domain.blocks import Block
from o.domain.files.directories import Directories
from o.domain.loops import is_legacy
from o.domain.messages import InputMessage, Message
from o.ids import derived_id
from o.memory.legacy_events import boot_messages
from o.memory.prompt import compile_prompt, system_message


def first_messages(
    agent: Agent,
    conversation: Conversation,
    blocks: Sequence[Block],
    initial: Sequence[InputMessage] | None,
    now: datetime,
    directories: Directories | None = None,
) -> list[Message]:
    """The system message at position 0, and what follows it from position 1 on.

    Args:
        agent: Whose conversation begins.
        conversation: The thread; nothing but its identity is used.
        blocks: In the order in which the prompt shows them.
        initial: V1's `initial_message_sequence`: messages to begin with, which may be none.
            With None they are those of the agent's type.
        now: When it begins.
        directories: The folders of the agent.
    """
    prompt = compile_prompt(
        agent, conversation, blocks, recall_count=0, directories=directories, now=now
    )
    system = system_message(agent, conversation, prompt, now)
    if initial is None:
        return [system, *_of_type(agent, conversation, now)]
    return [system, *(_given(conversation, n, one, now) for n, one in enumerate(initial, start=1))]


def _of_type(agent: Agent, conversation: Conversation, now: datetime) -> list[Message]:
    """What agents of this type begin with by themselves."""
    return boot_messages(agent, conversation, now) if is_legacy(agent) else []


def _given(
    conversation: Conversation, position: int, given: InputMessage, now: datetime
) -> Message:
    return Message(
        id=derived_id("message", conversation.id, "initial", position),
        organization_id=conversation.organization_id,
        agent_id=conversation.agent_id,
        conversation_id=conversation.id,
        position=position,
        role=given.role,
        parts=given.parts,
        name=given.name,
        otid=given.otid,
        sender_id=given.sender_id,
        created_at=now,
    )
