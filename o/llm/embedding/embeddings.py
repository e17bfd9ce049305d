"""Text as vectors: models are asked over `POST <base url>/embeddings`, which most wires have."""

import asyncio
import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json

from o.domain.json_bounds import JsonOutOfBounds, check_json_text
from o.errors import ModelError, NotBuilt
from o.llm.bounds import ReplyOutOfBounds, UnknownEncoding
from o.llm.failures import out_of_bounds, refused, unreachable
from o.llm.http import Sessions, body_of, error_text, judge_of, proxy_of, whole_body
from o.llm.providers.azure_addresses import azure_address
from o.llm.providers.providers import Provider

Input = str | list[int]
"""A text, or its tokens as the model's own tokenizer has them."""

_AT_ONCE = 32
"""Inputs of one request: the answer, 4,096 numbers for each, is then within what is taken."""

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Vectors:
    """What came of some inputs.

    Attributes:
        vectors: One for each input, in their order, all of one length.
        tokens: What the provider counted; 0 where it did not say.
    """

    vectors: list[list[float]]
    tokens: int


class Embedder:
    """Asks for embeddings. It retries nothing."""

    def __init__(self, *, timeout_s: float = _TIMEOUT_S) -> None:
        """No connection is made yet.

        Args:
            timeout_s: Seconds that one request may take.
        """
        self._timeout_s = timeout_s
        self._sessions = Sessions()

    async def embed(
        self,
        provider: Provider,
        model: str,
        inputs: Sequence[Input],
        *,
        dimensions: int | None = None,
    ) -> Vectors:
        """The vectors of some inputs.

        Args:
            provider: Who is asked.
            model: The model's id there.
            inputs: What is embedded, at least one.
            dimensions: How many numbers a vector is to have; None for the model's own number.

        Raises:
            NotBuilt: The provider has no such endpoint.
            ModelError: It did not answer, refused, or answered with something else.
        """
        provider.check_usable()
        vectors: list[list[float]] = []
        tokens = 0
        for start in range(0, len(inputs), _AT_ONCE):
            part = list(inputs[start : start + _AT_ONCE])
            body: dict[str, Any] = {"model": model, "input": part}
            if dimensions is not None:
                body["dimensions"] = dimensions
            answer = await self._ask(provider, model, body)
            vectors += _vectors_of(provider, answer, len(part))
            tokens += _tokens_of(answer)
        if len({len(vector) for vector in vectors}) > 1:
            raise _unusable(provider)
        return Vectors(vectors, tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()

    async def _ask(self, provider: Provider, model: str, body: dict[str, Any]) -> Any:
        asked = self._sessions.judged_by(judge_of(provider)).post(
            _address(provider, model),
            data=to_json(body),
            headers=_headers(provider),
            proxy=proxy_of(provider.base_url),
            allow_redirects=False,  # a key goes where the operator said, and nowhere else
        )
        try:
            async with asyncio.timeout(self._timeout_s), asked as response:
                if response.status >= 300:
                    text = await error_text(response)
                    raise refused(provider, response.status, text, response.headers)
                content = await whole_body(body_of(response))
            check_json_text(content)
            return from_json(content)
        except (ReplyOutOfBounds, UnknownEncoding, JsonOutOfBounds) as error:
            raise out_of_bounds(provider, error) from None
        except ValueError:
            raise _unusable(provider) from None
        except TimeoutError as error:
            raise unreachable(provider, error, timed_out=True) from error
        except aiohttp.ClientError as error:
            raise unreachable(provider, error, timed_out=False) from error


def as_base64(vector: Sequence[float]) -> str:
    """A vector as OpenAI packs it: 32-bit floats, the lowest byte first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _address(provider: Provider, model: str) -> str:
    """Where a provider embeds.

    Raises:
        NotBuilt: It does not, or not over this wire.
    """
    base_url = provider.base_url.rstrip("/")
    match provider.wire:
        case "openai" | "responses" | "mistral":
            return f"{base_url}/embeddings"
        case "ollama":
            return f"{base_url.removesuffix('/v1')}/v1/embeddings"
        case "gemini":
            return f"{base_url.removesuffix('/v1beta')}/v1beta/openai/embeddings"
        case "azure":
            return azure_address(provider, model, "embeddings")
    raise NotBuilt(f"The provider {provider.name} is not asked for embeddings.")


def _headers(provider: Provider) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if provider.api_key is not None:
        key = provider.api_key.get_secret_value()
        headers |= {"api-key": key} if provider.wire == "azure" else {}
        headers |= {"Authorization": f"Bearer {key}"} if provider.wire != "azure" else {}
    return headers


def _vectors_of(provider: Provider, answer: Any, count: int) -> list[list[float]]:
    """The vectors in an answer, in the order of the inputs, whatever order they came in.

    Raises:
        ModelError: They are not one for each input, or not made of numbers.
    """
    try:
        entries = answer["data"]
        found = {entry.get("index", n): entry["embedding"] for n, entry in enumerate(entries)}
        vectors = [_numbers(found[n]) for n in range(count)]
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
        raise _unusable(provider) from None
    if len(entries) != count:
        raise _unusable(provider)
    return vectors


def _numbers(vector: Any) -> list[float]:
    if isinstance(vector, str):  # some pack them unasked
        try:
            packed = base64.b64decode(vector, validate=True)
            vector = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        except (binascii.Error, struct.error) as error:
            raise ValueError from error
    numbers = [float(number) for number in vector]
    # One that 32 bits do not hold could not be packed; the sum shows what is no number.
    if not numbers or not math.isfinite(sum(numbers)) or max(map(abs, numbers)) > 3.4e38:
        raise ValueError
    return numbers


def _tokens_of(answer: Any) -> int:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count < 2**53 else 0


def _unusable(provider: Provider) -> ModelError:
    return ModelError(
        "llm_error",
        f"The provider {provider.name} answered with something that is no list of embeddings.",
        status=502,
    )
