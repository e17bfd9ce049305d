"""What some providers want in every history, also where another model wrote it or nothing was said.

What they added themselves stands in the prompt already (`o.memory.additions`).
"""

from o.llm.requests.capabilities import Capabilities
from o.llm.requests.cleaning import Message, Notes

_THOUGHT = "reasoning_content"
_SIGNED = "extra_content"
_ANY_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""What Google has clients send with calls that none of its models made."""


def with_wanted(prompt: list[Message], takes: Capabilities, notes: Notes) -> list[Message]:
    """The prompt with thoughts or signatures wherever the provider refuses to do without."""
    if takes.wants_thoughts and _THOUGHT not in takes.left_out_of_messages:
        prompt = _with_thoughts(prompt, notes)
    if takes.signs_calls:
        prompt = [_signed(message, notes) for message in prompt]
    return prompt


def _with_thoughts(prompt: list[Message], notes: Notes) -> list[Message]:
    """With an empty thought for each reply of a turn with calls that has none."""
    said = list(prompt)
    in_tool_turn = False
    for place, message in enumerate(said):
        if message["role"] == "user":
            in_tool_turn = False
        in_tool_turn |= bool(message.get("tool_calls"))
        if in_tool_turn and message["role"] == "assistant" and _THOUGHT not in message:
            said[place] = message | {_THOUGHT: ""}
            notes["an empty thought was put before a call that another model made"] += 1
    return said


def _signed(message: Message, notes: Notes) -> Message:
    """With a signature for the first call of a reply, which speaks for all of them."""
    calls = message.get("tool_calls")
    if not calls or any(_SIGNED in one for one in calls):
        return message
    notes["a call that another model made was marked as such"] += 1
    return message | {"tool_calls": [calls[0] | {_SIGNED: _ANY_SIGNATURE}, *calls[1:]]}
