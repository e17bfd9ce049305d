"""How much of the context window a step's request takes."""

import asyncio
from dataclasses import dataclass

from o.domain.llm import ModelRequest
from o.memory.fill import WARNING_SHARE, Counts, Reported, likely_tokens
from o.memory.tokens import count_tools, is_exact, tools_tokens

# A prompt that is estimated at so many times its window is too long whatever it is exactly.
_HOPELESS = 8


@dataclass(frozen=True)
class Size:
    """Of a request.

    Attributes:
        tokens: As near to what the provider will count as can be told, and rather more.
        estimated: As it is estimated whatever the model, to be stored with what is reported.
    """

    tokens: int
    estimated: int


async def measure(counts: Counts, request: ModelRequest, reported: Reported | None) -> Size:
    """Count a request; exactly, where its model's tokenizer is here and the window nearly full.

    Args:
        counts: Of this conversation's prompt, as far as it has been counted.
        request: What is to be asked.
        reported: Of the prompt before it.
    """
    estimated = counts.estimate(request.prompt) + tools_tokens(request.tools)
    model, window = request.handle, request.context_window
    tokens = likely_tokens(estimated, model, reported)
    if window is None or tokens <= WARNING_SHARE * window or not is_exact(model):
        return Size(tokens, estimated)
    if tokens > _HOPELESS * window:
        return Size(tokens, estimated)
    exact = await asyncio.to_thread(counts.count, model, request.prompt)
    exact += await asyncio.to_thread(count_tools, model, request.tools)
    share = min(1.0, exact / max(1, estimated))
    return Size(likely_tokens(estimated, model, reported, share=share), estimated)
