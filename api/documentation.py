"""What the OpenAPI document says of every operation beside what its route says."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from api.wire.completions import CompletionBody, OpenAIErrorBody
from api.wire.shown import AnswerBody, ErrorBody, FailedBody, InvalidBody
from o.ids import pattern

Responses = dict[int | str, dict[str, Any]]

ERRORS: Responses = {
    400: {"model": ErrorBody, "description": "What is asked for cannot be"},
    401: {"model": ErrorBody, "description": "The server has a token, and this is not it"},
    404: {"model": ErrorBody, "description": "There is no such thing for this user"},
    409: {"model": ErrorBody, "description": "The state of things does not allow it now"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    429: {"model": ErrorBody, "description": "Too many requests, or too many of this user wait"},
    422: {"model": InvalidBody, "description": "The request breaks its schema"},
    500: {"model": ErrorBody, "description": "A fault of the server's, which is in its log"},
    503: {"model": ErrorBody, "description": "The database is away; try again"},
}
"""What every operation may answer. V1's errors are one string, and so are these."""

_FAILED = ErrorBody | FailedBody
_EVENTS = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "properties": {
                "event": {"type": "string", "description": "`error`, or nothing"},
                "data": {"type": "string", "description": "JSON, or `[DONE]`"},
            },
            "required": ["data"],
            "description": "Events `data: <JSON>`: messages, then `stop_reason`, "
            "`usage_statistics` and `[DONE]`; an error comes as `event: error`.",
        }
    }
}


STREAM: Responses = {
    200: {"description": "The run's events, to its end", "content": _EVENTS},
    410: {"model": ErrorBody, "description": "The run's events are no longer kept"},
}
"""What answers with a stream."""

FAILURES: Responses = {
    status: {"model": _FAILED, "description": description}
    for status, description in {
        400: "What is asked for cannot be, or the provider refused the request",
        401: "The server's token is missing, or the provider refused its key",
        402: "The provider wants to be paid",
        429: "This server or the provider is asked too often",
        500: "The run failed",
        502: "The provider's answer could not be used",
        503: "The database is away, or the provider is overloaded",
        504: "The provider took too long",
    }.items()
}
"""What a send may answer that waits for its run: V1 shapes a provider's errors otherwise."""

MCP_FAILURES: Responses = {
    502: {"model": ErrorBody, "description": "The MCP server cannot be asked, or answers oddly"}
}
CONNECTION: Responses = {
    200: {
        "description": "What becomes of the connection",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {"data": {"type": "string"}},
                    "description": "Events `data: <JSON>` with `event`, `server_name`, and `tools` "
                    "or a `message`: `connection_attempt`, then `success`, or `error`, ahead of "
                    "it `oauth_required` where a token is missing; `[DONE]`; comments in silence.",
                }
            }
        },
    }
}

ANSWER: Responses = FAILURES | {
    200: {
        "model": AnswerBody,
        "description": "The finished run, or its events with `streaming`",
        "content": _EVENTS,
    }
}
REFUSED: Responses = {405: {"model": ErrorBody, "description": "This is never done"}}
UPLOAD_REFUSED: Responses = {415: {"model": ErrorBody, "description": "No text can be made of it"}}
OUTDATED: Responses = {
    412: {"model": ErrorBody, "description": "`If-Match` names an older version"}
}


def _names(parameter: str, **more: Any) -> dict[str, Any]:
    kinds = [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]
    schema = {"anyOf": kinds, "title": parameter.replace("_", " ").title()}
    return {"name": parameter, "in": "query", "required": False, "schema": schema | more} | more


RELATIONS = (_names("include"), _names("include_relationships", deprecated=True))
"""What a route reads of its query that goes by `api.deps.relations_of`."""


def in_path(kind: str) -> dict[str, Any]:
    """What a route reads of its path that goes by `api.deps.id_in_path`."""
    schema = {"type": "string", "pattern": pattern(kind), "title": f"{kind.title()} Id"}
    return {"name": f"{kind}_id", "in": "path", "required": True, "schema": schema}


def documented(*parameters: dict[str, Any]) -> dict[str, Any]:
    """What a route reads by itself, for its `openapi_extra`."""
    return {"parameters": list(parameters)}


OPENAI_ERRORS: Responses = {
    status: {"model": OpenAIErrorBody, "description": said["description"]}
    for status, said in ERRORS.items()
}
"""What operations answer that OpenAI's clients ask for."""

FAILED_OPENAI: Responses = {
    status: {"model": OpenAIErrorBody, "description": said["description"]}
    for status, said in FAILURES.items()
}
NOT_BUILT_OPENAI: Responses = {
    501: {"model": OpenAIErrorBody, "description": "O does not do this for this provider"}
}
CHAT: Responses = FAILED_OPENAI | {
    200: {
        "model": CompletionBody,
        "description": "What the agent said, or chunks of it with `stream`",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {"data": {"type": "string"}},
                    "description": "Events `data: <JSON>`: `chat.completion.chunk`s, or an object "
                    "with `error`, then `[DONE]`; comments in silence.",
                }
            }
        },
    }
}


def document(app: FastAPI, *, needs_token: bool) -> None:
    """Say in the document what FastAPI does not know of the application.

    Args:
        app: With all of its routes.
        needs_token: Whether `/docs` has to ask for a token before it can try a request.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        found = plain()
        for item in found["paths"].values():
            for operation in item.values():
                _without_empty_json(operation["responses"].get("200", {}).get("content", {}))
        if needs_token:
            schemes = found.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes["token"] = {"type": "http", "scheme": "bearer"}
            found["security"] = [{"token": []}]
        return found

    # FastAPI's own way to extend its document.
    app.openapi = openapi  # type: ignore[method-assign]


def serve_document(app: FastAPI) -> None:
    """Answer `GET /openapi.json` in the place of FastAPI, which makes it in the event loop.

    It takes seconds of a processor. So a thread makes it, when it is first asked for, and whoever
    asks for something else is answered meanwhile.
    """
    others = [one for one in app.router.routes if getattr(one, "path", "") != app.openapi_url]
    making = asyncio.Lock()
    made: list[bytes] = []

    def make() -> bytes:
        content = bytes(JSONResponse(app.openapi()).body)
        app.openapi_schema = None  # its text is all that is needed, and a thirtieth of its size
        return content

    async def show(_: Request) -> Response:
        async with making:
            if not made:
                made.append(await asyncio.to_thread(make))
        return Response(made[0], media_type="application/json")

    app.router.routes[:] = [*others, Route(str(app.openapi_url), show, include_in_schema=False)]


def _without_empty_json(content: dict[str, Any]) -> None:
    """FastAPI adds JSON of any kind to what only streams."""
    if "text/event-stream" in content and content.get("application/json") == {"schema": {}}:
        del content["application/json"]
