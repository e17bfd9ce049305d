"""The one file that imports litellm: the wires of Anthropic, Gemini and Bedrock.

Importing this takes seconds and 180 MB, so a worker does before it polls, and only when a provider
asks for it.
"""

import copy
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

# litellm reads these when it is imported, and has no other way to be told.
os.environ.setdefault(
    "LITELLM_LOCAL_MODEL_COST_MAP", "True"
)  # else it asks the internet for prices
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")  # else for headers
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else a count of tokens may wait for a download

import httpx
import litellm
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport
from litellm.llms.custom_httpx.http_handler import (
    AsyncHTTPHandler,
    HTTPHandler,
    get_ssl_configuration,
)
from pydantic import ValidationError

from o.domain.llm import DeltaSink, ModelReply, ModelRequest, ToolSpec
from o.domain.text import storable_json
from o.errors import Failure, ModelError
from o.llm.failures import causes_of, refused, unreachable
from o.llm.http import judge_of, open_session
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import optional_fields, tools_of
from o.llm.requests.fitted import fit
from o.llm.warm_up import one_word_provider
from o.llm.wires.cache_marks import with_cache_marks
from o.llm.wires.chat import Completion, reply_of
from o.llm.wires.guarded_http import NO_KEY, Failed, GuardedTransport
from o.llm.wires.streamed import nowhere, streamed_reply
from o.outbound import OutboundGuard

litellm.suppress_debug_info = True
litellm.drop_params = True
litellm.telemetry = False

_WIRE_PREFIX = {"anthropic": "anthropic", "gemini": "gemini", "bedrock": "bedrock/converse"}
_GEMINI_VERSION = "v1beta"
_VERSIONED = re.compile(r"/v\d[a-z0-9]*$")
_AWS_REGION = "us-east-1"
_MODEL = "claude-sonnet-4-5"
"""What is warmed up with: the tokenizer goes by the name, and takes a second to load."""


class _Nowhere(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Reaches nothing."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse."""
        raise httpx.UnsupportedProtocol("not of its own accord", request=request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse."""
        raise httpx.UnsupportedProtocol("not of its own accord", request=request)


# By these litellm fetches images, and asks about models while the event loop waits.
litellm.module_level_client = HTTPHandler(client=httpx.Client(transport=_Nowhere()))
litellm.module_level_aclient = AsyncHTTPHandler(transport=_Nowhere())


_GEMINI_MODEL = re.compile(r"(?!.*\.\.)[\w.:@/-]+")
"""What may stand in the address that it becomes a part of, and ask nothing else there."""


def _no_model(provider: Provider) -> ModelError:
    message = f"The provider {provider.name} can have no model of that name."
    return ModelError("llm_bad_request", message, status=400, failure=Failure.NOT_FOUND)


class LiteLLMWires:
    """Asks models through litellm. It retries nothing."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._http: dict[OutboundGuard | None, AsyncHTTPHandler] = {}

    async def complete(
        self, provider: Provider, model: str, request: ModelRequest, on_delta: DeltaSink | None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`."""
        if provider.wire == "gemini" and not _GEMINI_MODEL.fullmatch(model):
            raise _no_model(provider)
        arguments = self._arguments(provider, model, request, streams=on_delta is not None)
        try:
            if on_delta is None:
                return reply_of(_as_completion(await litellm.acompletion(**arguments)))
            chunks = await litellm.acompletion(**arguments, stream=True)
            return await streamed_reply(_completions(chunks), on_delta)
        except ModelError:
            raise
        except Exception as error:  # litellm raises whatever its many clients raise
            raise _as_model_error(error, provider) from error

    async def warm_up(self) -> None:
        """Call a provider of our own, plain and streamed: first calls load code for a second."""
        request = ModelRequest(
            handle="",
            prompt=[{"role": "user", "content": "hello"}],
            tools=[ToolSpec(name="wave", description="Wave.", parameters={"type": "object"})],
        )
        async with one_word_provider() as address:
            provider = Provider("warm-up", "anthropic", "anthropic", address)
            await self.complete(provider, _MODEL, request, None)
            await self.complete(provider, _MODEL, request, nowhere)
        await self.close()  # connections belong to an event loop

    async def close(self) -> None:
        """Close the connections. A call that comes later opens others."""
        opened, self._http = self._http, {}
        for http in opened.values():
            await http.close()

    def _client(self, guard: OutboundGuard | None) -> AsyncHTTPHandler:
        """Litellm's own client, but for what judges connections and bounds the answers.

        It is of the running event loop.
        """
        if guard not in self._http:
            transport = GuardedTransport(_transport(guard))
            self._http[guard] = AsyncHTTPHandler(timeout=self._timeout_s, transport=transport)
        return self._http[guard]

    def _arguments(
        self, provider: Provider, model: str, request: ModelRequest, *, streams: bool
    ) -> dict[str, Any]:
        fitted = fit(provider, model, request)
        prompt = fitted.prompt
        if _keeps_marked(provider, model):
            prompt = with_cache_marks(prompt)
        arguments: dict[str, Any] = {
            "model": f"{_WIRE_PREFIX[provider.wire]}/{model}",
            "messages": copy.deepcopy(prompt),  # litellm may change what it is given
            "timeout": self._timeout_s,
            "client": self._client(judge_of(provider)),
            "num_retries": 0,
            "max_retries": 0,
        }
        if fitted.tools:
            arguments["tools"] = tools_of(fitted)
        return arguments | optional_fields(fitted, streams=streams) | _where(provider)


def _transport(guard: OutboundGuard | None) -> Any:
    """Litellm's own transport, over sessions whose connections a guard judges."""
    ssl_context = get_ssl_configuration()
    if guard is None:
        return AsyncHTTPHandler.create_async_transport(ssl_context=ssl_context)
    # It makes a session anew where one is closed: this one is judged, too.
    return LiteLLMAiohttpTransport(partial(open_session, guard), ssl_verify=ssl_context)


def _where(provider: Provider) -> dict[str, Any]:
    """The provider's address and keys in litellm's words, so that it looks for none itself.

    Raises:
        ModelError: It has no keys. litellm would ask the machine that it runs on for some.
    """
    key = provider.api_key.get_secret_value() if provider.api_key else None
    match provider.wire:
        case "gemini":
            base = provider.base_url.rstrip("/")
            versioned = base if _VERSIONED.search(base) else f"{base}/{_GEMINI_VERSION}"
            return {"api_base": versioned, "api_key": key or NO_KEY}
        case "bedrock":
            where = {
                "aws_bedrock_runtime_endpoint": provider.base_url,
                "aws_region_name": provider.region or _AWS_REGION,
            }
            if provider.access_key is not None and key:
                access_key = provider.access_key.get_secret_value()
                return where | {"aws_access_key_id": access_key, "aws_secret_access_key": key}
            if key:
                return where | {"api_key": key}
            raise ModelError(
                "llm_authentication", f"The provider {provider.name} has no key.", status=401
            )
    return {"api_base": provider.base_url, "api_key": key or NO_KEY}


def _keeps_marked(provider: Provider, model: str) -> bool:
    """Whether a model takes marks in its prompt: others of Bedrock's refuse them."""
    if provider.wire == "bedrock":
        return any(family in model for family in ("anthropic.claude", "amazon.nova"))
    return provider.wire == "anthropic"


def _as_completion(reply: Any) -> Completion:
    try:
        return Completion.model_validate(reply)
    except ValidationError:  # half a surrogate pair
        return Completion.model_validate(storable_json(reply.model_dump()))


async def _completions(chunks: Any) -> AsyncIterator[Completion]:
    async for chunk in chunks:
        yield _as_completion(chunk)


def _as_model_error(error: Exception, provider: Provider) -> ModelError:
    causes = list(causes_of(error))
    for cause in causes:
        if isinstance(cause, Failed):
            return cause.explain(provider)
    if isinstance(error, litellm.Timeout):
        return unreachable(provider, error, timed_out=True)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return unreachable(provider, error, timed_out=False)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return refused(provider, status, str(error), headers)
