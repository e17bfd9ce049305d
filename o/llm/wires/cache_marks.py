"""Where a prompt says that a provider shall keep what it has read so far.

Anthropic, and Bedrock for some models, read a prompt from the start each time unless it is marked.
"""

from typing import Any

_MARK = {"cache_control": {"type": "ephemeral"}}
_LAST = 2  # the newest was not there last time; the one before it is where that prompt ended


def with_cache_marks(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The prompt with marks behind the system message (and the tools) and the last two inputs.

    That is three, of the four that Anthropic takes.

    Args:
        prompt: In the OpenAI chat shape. It is not changed.
    """
    marked = list(prompt)
    for n in _places(prompt):
        marked[n] = _marked(prompt[n])
    return marked


def _places(prompt: list[dict[str, Any]]) -> list[int]:
    """The system message, and where the last runs of what came from users and tools end."""
    head = [0] if prompt and prompt[0]["role"] == "system" else []
    following = [message["role"] for message in prompt[1:]] + ["assistant"]
    ends = [
        n
        for n, (message, next_role) in enumerate(zip(prompt, following, strict=True))
        if message["role"] in ("user", "tool") and next_role not in ("user", "tool")
    ]
    return head + ends[-_LAST:]


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    parts[-1] = parts[-1] | _MARK
    return message | {"content": parts}
