"""What a request says of a history that the provider would refuse. History itself stays as it is.

Whatever stands in it (names that a model made up, half a surrogate pair, two users in a row, an
image that cannot be read), no stored message may end a conversation.
"""

from collections.abc import Collection, Sequence

from o.llm.requests.capabilities import Capabilities
from o.llm.requests.cleaning import Cleaner, Message, Notes
from o.llm.requests.leaving_out import count_images, only_this_turn, without_refused
from o.llm.requests.turns import in_order
from o.llm.requests.wanted import with_wanted


def repaired(
    prompt: Sequence[Message],
    tools: Collection[str],
    takes: Capabilities,
    refused: frozenset[int] = frozenset(),
    *,
    is_alone: bool = False,
) -> tuple[list[Message], list[str]]:
    """The prompt as a provider takes it, and what was changed, in plain sentences.

    Pure, and the same history gives the same words each time, so that prompt caches hit. Messages
    that need no change are passed on as they are; none is changed in place.

    Args:
        prompt: In the OpenAI chat shape, always paired.
        tools: Names of the tools that are offered.
        takes: What the provider's model can be told.
        refused: Marks of what it has refused before (`o.llm.requests.leaving_out`).
        is_alone: Whether all earlier turns are left out.
    """
    notes: Notes = Notes()
    said = list(prompt)
    if is_alone:
        said = only_this_turn(said, notes)
    if takes.calls_in_words or not (tools or takes.calls_without_tools):
        said = without_calls(said, notes)
    if refused:
        said = without_refused(said, refused, notes)
    images = 0 if takes.most_images is None else count_images(said)
    cleaner = Cleaner(takes, frozenset(tools), notes, images)
    said = in_order([cleaner.clean(message) for message in said], takes, notes)
    said = with_wanted(said, takes, notes)
    return said, [text if n == 1 else f"{text} ({n} times)" for text, n in notes.items()]


def without_calls(prompt: list[Message], notes: Notes) -> list[Message]:
    """The prompt with calls and their returns told in words."""
    if not any(message["role"] == "tool" for message in prompt):
        return prompt
    notes["calls of tools were told in words"] += 1
    return [_told(message) for message in prompt]


def _told(message: Message) -> Message:
    if message["role"] == "tool":
        return {"role": "user", "content": f"[A tool returned: {message['content']}]"}
    calls = message.get("tool_calls")
    if not calls:
        return message
    told = [
        f"[I called {call['function']['name']} with {call['function']['arguments']}]"
        for call in calls
    ]
    words = [message["content"]] if message.get("content") else []
    return {"role": "assistant", "content": "\n".join([*words, *told])}
