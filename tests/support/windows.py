"""Context windows as the scripted provider has them, and what it does when it is to sum up."""

import json
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from o.domain.llm import ToolSpec
from o.memory.tokens import count_prompt

Prompt = list[dict[str, Any]]
Action = dict[str, Any]


def summing(action: Action) -> str:
    """A `prompt` of compaction settings that makes the model which sums up take this action."""
    return "sum:" + json.dumps(action)


def summary_action(prompt: Prompt) -> Action | None:
    """What a model that writes a summary is to do: what `summing` made stands in its task."""
    for place in (prompt[0], prompt[-1]):
        first, _, _ = str(place["content"]).partition("\n")
        if first.startswith("sum:"):
            action: Action = json.loads(first.removeprefix("sum:"))
            return action
    return None


def window_of(prompt: Prompt) -> int | None:
    """Tokens that the model reads, where the agent's instructions say so: `[window 4000]`."""
    told = re.search(r"\[window (\d+)\]", str(prompt[0]["content"]))
    return int(told[1]) if told else None


def tokens_of(body: dict[str, Any]) -> int:
    """What a request takes of the window, as this provider counts."""
    tools = [ToolSpec(**tool["function"]) for tool in body.get("tools", [])]
    return count_prompt(body["model"], body["messages"], tools)


def too_long(tokens: int, window: int) -> Response:
    """How OpenAI refuses a prompt that is longer than the model reads."""
    message = (
        f"This model's maximum context length is {window} tokens. However, your messages resulted "
        f"in {tokens} tokens. Please reduce the length of the messages."
    )
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    return JSONResponse({"error": error}, status_code=400)
