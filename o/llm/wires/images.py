"""Images that messages name by address: the provider fetches them, or nobody does."""

from collections.abc import Sequence
from typing import Any

_FETCHED = ("http:", "https:")


def without_addresses(
    prompt: Sequence[dict[str, Any]], *, taken: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The prompt with a note in the place of each image whose address the provider does not take.

    A client library may fetch such an image by itself, from inside the operator's network.

    Args:
        prompt: In the OpenAI shape. It is not changed.
        taken: How the addresses begin that the provider takes and fetches by itself.
    """
    return [_without(message, tuple(taken)) for message in prompt]


def _without(message: dict[str, Any], taken: tuple[str, ...]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return message | {"content": [_part(part, taken) for part in content]}


def _part(part: Any, taken: tuple[str, ...]) -> Any:
    if not isinstance(part, dict) or part.get("type") != "image_url":
        return part
    url = str(part["image_url"]["url"])
    if not url.lower().startswith(_FETCHED) or url.startswith(taken):
        return part
    return {"type": "text", "text": f"[An image at {url}, which you cannot be shown.]"}
