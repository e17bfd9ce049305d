"""What a model is asked for a summary: a transcript of what goes, or a word behind the prompt."""

import json
from collections.abc import Sequence
from typing import Any

from o.domain.agents import Agent
from o.domain.compaction import CompactionSettings
from o.domain.llm import ModelRequest, ToolSpec
from o.domain.messages import Message
from o.memory.compaction import Plan, fit_tokens, text_tokens
from o.memory.context import shown_alone

_PART_CHARS = 4_000
_INPUT_SHARE = 0.7
_WORDS_A_TOKEN = 0.6

_TASK = (
    "You keep the memory of an AI agent. The oldest part of its conversation is about to leave "
    "its view, and your summary takes its place: whatever you leave out, the agent forgets. "
)
_KEEP = (
    "Keep, in this order of importance: what the user wants and has decided; facts, names, "
    "numbers, dates, paths and identifiers word by word; what was done and how it came out, "
    "errors and their causes included; what is open, promised or next; how the user wants to be "
    "treated. Leave out small talk and what tools returned beyond what came of it. Write plain "
    "sentences in the language of the conversation, in the past tense, naming who said or did "
    "what. Answer with the summary alone."
)
_TRANSCRIPT = _TASK + _KEEP
_WHOLE = (
    _TASK + "Nothing of the conversation stays in view beside your summary, so write it such that "
    "the agent can go on with its work from it. " + _KEEP
)
_SELF = (
    "[System] The context window is nearly full. The messages above are about to leave your view, "
    "and what you write now takes their place: whatever you leave out, you forget. Call no tool. "
    + _KEEP
)
_ACKNOWLEDGED = "Understood. I answer with the summary and nothing else."
_LEFT_OUT = "(… some of it was left out here, to fit the window of whoever sums it up …)"


def transcript_request(
    agent: Agent,
    handle: str,
    gone: Sequence[Message],
    settings: CompactionSettings,
    *,
    before: str | None,
    plan: Plan,
    window: int,
) -> ModelRequest:
    """Ask a model for a summary of a transcript, which is clipped to what the model can read.

    Args:
        agent: Whose messages they are.
        handle: The model.
        gone: The messages, oldest first.
        settings: How.
        before: The summary that stands ahead of them now.
        plan: Says how long it may become.
        window: Tokens that the model reads.
    """
    task = settings.prompt or (_WHOLE if settings.keeps_none else _TRANSCRIPT)
    head = [{"role": "system", "content": f"{task}\n\n{_length(plan)}"}]
    if settings.prompt_acknowledgement:
        head.append({"role": "assistant", "content": _ACKNOWLEDGED})
    lines = [line for message in gone for line in _lines(agent, message)]
    told = f"Summary of what came before:\n{before}\n\n" if before else ""
    text = _fitted(told + "\n".join(lines), int(_INPUT_SHARE * window / plan.scale))
    said = {"role": "user", "content": f"<conversation>\n{text}\n</conversation>"}
    return ModelRequest(
        handle=handle,
        organization_id=agent.organization_id,
        prompt=[*head, said],
        settings=_settings(agent, handle, settings),
        context_window=window,
    )


def self_request(
    agent: Agent,
    handle: str,
    prompt: Sequence[dict[str, Any]],
    tools: Sequence[ToolSpec],
    settings: CompactionSettings,
    *,
    plan: Plan,
) -> ModelRequest:
    """Ask the agent's own model behind its own prompt, of which the provider has a cache."""
    text = f"{settings.prompt or _SELF}\n\n{_length(plan)}"
    return ModelRequest(
        handle=handle,
        organization_id=agent.organization_id,
        prompt=[*prompt, {"role": "user", "content": text}],
        tools=list(tools),
        settings=_settings(agent, handle, settings),
        context_window=agent.context_window,
    )


def _settings(agent: Agent, handle: str, settings: CompactionSettings) -> dict[str, Any]:
    """What the model is called with; never a format that the agent's answers have."""
    given = settings.model_settings
    if given is None:
        given = agent.model_settings if handle == agent.model else {}
    return {name: value for name, value in given.items() if name != "response_format"}


def _length(plan: Plan) -> str:
    return f"Write {max(30, int(plan.summary_tokens * _WORDS_A_TOKEN))} words at the most."


def _lines(agent: Agent, message: Message) -> list[str]:
    """A message as a transcript has it; long parts are cut in the middle."""
    shown = shown_alone(agent, message)
    if shown is None:
        return []
    content = shown.get("content")
    if isinstance(content, list):
        content = " ".join(part.get("text") or "(an image)" for part in content)
    role = "tool returned" if shown["role"] == "tool" else shown["role"]
    lines = [f"{role}: {_middle_out(content, _PART_CHARS)}"] if content else []
    for call in shown.get("tool_calls", ()):
        told = call["function"]
        arguments = _middle_out(told["arguments"], _PART_CHARS)
        lines.append(f"assistant called {json.dumps(told['name'])} with {arguments}")
    return lines


def _middle_out(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … {text[-most // 2 :]}"


def _fitted(text: str, most: int) -> str:
    """A transcript that fits: its beginning, and more of its end."""
    chars = len(fit_tokens(text, most))
    if chars >= len(text):
        return text
    while True:
        head = chars // 4
        fitted = f"{text[:head]}\n{_LEFT_OUT}\n{text[len(text) - (chars - head) :]}"
        if chars < len(_LEFT_OUT) or text_tokens(fitted) <= most:
            return fitted
        chars = chars * 4 // 5
