"""What stands in a context window, part by part, with what each part takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.domain.messages import Message
from o.memory.context import Prompt
from o.memory.estimates import estimate
from o.memory.fill import Reported, likely_tokens
from o.memory.prompt import PromptParts, parts_of
from o.memory.tokens import count_prompt, tools_tokens


@dataclass(frozen=True)
class Window:
    """What a model is asked with when nothing is said to it.

    Attributes:
        agent: As it acts in the conversation.
        system: The system message, as the next turn has it.
        summary: Of what is ahead of the window; None where all of history stands in it.
        messages: The rest, oldest first.
        tools: What the model is told of its tools.
        reported: What a provider said of the newest prompt of this conversation.
    """

    agent: Agent
    system: Message | None
    summary: Message | None
    messages: Sequence[Message]
    tools: Sequence[ToolSpec]
    reported: Reported | None = None

    @property
    def all_messages(self) -> list[Message]:
        """The messages, in the order of the prompt."""
        return [*filter(None, (self.system, self.summary)), *self.messages]


@dataclass(frozen=True)
class Overview:
    """Tokens of a window. The parts are about what they take; together they are `tokens`.

    Attributes:
        tokens: All of it: as the provider reported it last, with what has come since.
        text: The system prompt in its parts.
        parts: Tokens of each of them, and of the rest of the window.
    """

    tokens: int
    text: PromptParts
    instructions: int
    blocks: int
    rules: int
    directories: int
    metadata: int
    summary: int
    tools: int
    messages: int


def overview(window: Window) -> Overview:
    """Count a window. Takes some 50 ms for 100,000 tokens."""
    prompt = Prompt()
    for message in filter(None, (window.summary, *window.messages)):
        prompt.add(window.agent, message)
    chat = prompt.chat(window.system, window.agent.model)
    estimated = count_prompt("", chat, window.tools)
    tokens = likely_tokens(estimated, window.agent.model, window.reported)
    share = tokens / max(1, estimated)

    def count(text: str) -> int:
        return round(estimate(text) * share)

    text = parts_of(window.agent, window.system.text if window.system else "")
    sizes = {
        "instructions": count(text.instructions),
        "blocks": count(text.blocks),
        "rules": count(text.rules),
        "directories": count(text.directories),
        "metadata": count(text.metadata),
        "summary": count(window.summary.text) if window.summary else 0,
        "tools": round(tools_tokens(window.tools) * share),
    }
    return Overview(tokens, text, **sizes, messages=max(0, tokens - sum(sizes.values())))
