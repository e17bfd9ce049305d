"""Speaking in conversations through the official client."""

from typing import Any

from letta_client import Letta


def speak(client: Letta, conversation_id: str, text: str, **options: Any) -> list[Any]:
    """What streams back from a conversation, pings left out."""
    with client.conversations.messages.create(conversation_id, input=text, **options) as stream:
        return [one for one in stream if one.message_type != "ping"]


def said(client: Letta, conversation_id: str, **asked: Any) -> list[str]:
    """What was said in a conversation by user and agent, oldest first."""
    listed = client.conversations.messages.list(
        conversation_id, order="asc", limit=1_000, **asked
    ).items
    return [
        str(one.content)
        for one in listed
        if one.message_type in ("user_message", "assistant_message")
    ]


def prompt_of(client: Letta, conversation_id: str, **asked: Any) -> str:
    """The stored system prompt of a conversation."""
    first = client.conversations.messages.list(
        conversation_id, order="asc", limit=1, **asked
    ).items[0]
    assert first.message_type == "system_message"
    return str(first.content)
