"""What is sent back with a reply to the provider that added it, and to no other."""

from typing import Any

from o.domain.extras import Extras
from o.domain.messages import Message, ReasoningPart, RedactedPart

_THINKING = "thinking_blocks"
_SAYS_THOUGHTS = ("reasoning_details", _THINKING)
"""Fields that hold the reasoning themselves."""


class Additions:
    """Of one reply.

    DeepSeek and those that think alike want what was thought with the replies of a turn in which
    tools were called, and of no other turn: their older models refuse it there.

    Attributes:
        chars: About how much memory they take, in characters.
    """

    def __init__(self, reply: Message, *, in_tool_turn: bool) -> None:
        """Know what a reply has, and whether its turn has called tools up to it."""
        self._extras = reply.extras
        self._in_tool_turn = in_tool_turn
        self._thought = "".join(
            part.reasoning
            for part in reply.parts
            if isinstance(part, ReasoningPart) and part.source == "reasoner_model"
        )
        self._blocks = _thinking_blocks(reply)
        self.chars = len(self._thought) + len(str(self._extras)) if self._extras else 0

    def of_reply(self, model: str) -> dict[str, Any]:
        """The fields of the message for the model that reads it."""
        own = self._own(model)
        if own is not None:
            return self._of_extras(own)
        if self._extras is None and self._blocks:  # stored by an older release
            return {_THINKING: self._blocks}
        return {}

    def of_call(self, model: str, ordinal: int) -> dict[str, Any]:
        """The fields of a call for a model."""
        own = self._own(model)
        return own.calls[ordinal] if own and ordinal < len(own.calls) else {}

    def _own(self, model: str) -> Extras | None:
        return self._extras if self._extras and self._extras.go_to(model) else None

    def _of_extras(self, extras: Extras) -> dict[str, Any]:
        fields = dict(extras.fields)
        if _THINKING not in fields and self._blocks:
            fields[_THINKING] = self._blocks
        says_thoughts = any(name in fields for name in _SAYS_THOUGHTS)
        if extras.thought_in and self._in_tool_turn and not says_thoughts:
            fields[extras.thought_in] = self._thought
        return fields


def _thinking_blocks(reply: Message) -> list[dict[str, Any]]:
    """Signed or encrypted reasoning, which Anthropic asks to be sent back with tool calls."""
    blocks: list[dict[str, Any]] = []
    for part in reply.parts:
        if isinstance(part, ReasoningPart) and part.signature:
            blocks.append(
                {"type": "thinking", "thinking": part.reasoning, "signature": part.signature}
            )
        elif isinstance(part, RedactedPart):
            blocks.append({"type": "redacted_thinking", "data": part.data})
    return blocks
