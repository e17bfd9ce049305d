"""The official client of OpenAI, as it speaks to this server, and what it reads."""

from collections.abc import Iterable
from typing import Any

from openai import OpenAI

from tests.support.product import Product


def openai_client(server: Product, **options: Any) -> OpenAI:
    """The official client for this server."""
    return OpenAI(base_url=f"{server.url}/v1", api_key="unused", **({"max_retries": 0} | options))


def says(*texts: str) -> Any:
    """Messages of the user and the assistant in turn, the user's first."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def text_of(completion: Any) -> str:
    """What the only choice says."""
    (choice,) = completion.choices
    return str(choice.message.content)


def joined(chunks: Iterable[Any]) -> str:
    """The text of a stream."""
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.delta
    )
