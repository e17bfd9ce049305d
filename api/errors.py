"""Our errors as HTTP, in V1's bodies."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException

from api.wire.answers import failure_body
from o.domain.runs import RunError
from o.errors import ApprovalPending, ConversationBusy, OError, Unavailable
from o.storage.database import DATABASE_IS_AWAY, DISK_IS_FULL, is_disk_full, is_unreachable

_log = logging.getLogger(__name__)

# The official clients post again on 409, 429 and 5xx; this header tells them not to.
NO_RETRY = {"x-should-retry": "false"}

# What ids in paths are named after; every other parameter is named after its id's prefix.
_PREFIXES = {
    "conversation": "conv",
    "folder": "source",
    "environment_variable": "agent-env",
    "sandbox_config": "sandbox",
    "env_var": "sandbox-env",
}
_NOT_JSON = "The body is read as JSON only with the header 'content-type: application/json'."
_UNAUTHORIZED = (
    "Unauthorized: send the header 'Authorization: Bearer <token>' with the token that the "
    "operator of this server has set (O_API_TOKEN)."
)
_EXAMPLE_UUID = "123e4567-e89b-42d3-8456-426614174000"

_CONTRADICTIONS = {"23503", "23505"}  # foreign key, unique
_CLASHES = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_UNFIT = (
    "A value cannot be stored or looked for: text must not hold NUL characters, and numbers must "
    "be of the size that is documented."
)


def install_error_handlers(app: FastAPI) -> None:
    """Translate every error that a route can raise."""
    app.add_exception_handler(OError, _of_o)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(SQLAlchemyError, _of_database)
    app.add_exception_handler(Exception, _of_bug)


def run_failed(error: RunError) -> JSONResponse:
    """A run that failed while its client waited: V1's `{"error": {type, message, detail}}`."""
    return JSONResponse(failure_body(error), status_code=error.status, headers=NO_RETRY)


def unauthorized() -> JSONResponse:
    """V1's answer to a request without a valid token, and how to send one."""
    return JSONResponse(
        {"detail": _UNAUTHORIZED}, status_code=401, headers={"www-authenticate": "Bearer"}
    )


def too_large(most_bytes: int) -> str:
    """What is said, with 413, of a body that is too big."""
    return f"The body is larger than {most_bytes} bytes."


def not_implemented(operation: str) -> JSONResponse:
    """What V1 serves and O does not: no client should try again, or think that an id is wrong.

    Args:
        operation: Method and path, as the API spells them.
    """
    detail = f"NOT_IMPLEMENTED: {operation} of the Letta V1 API is not built in this release of O."
    return JSONResponse({"detail": detail}, status_code=501, headers=NO_RETRY)


async def _of_o(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OError)  # noqa: S101  registered for this type
    headers = NO_RETRY if error.status in (409, 501) else {}
    if isinstance(error, Unavailable) and error.retry_after_s is not None:
        headers = {"retry-after": str(error.retry_after_s)}
    return JSONResponse(_body(error), status_code=error.status, headers=headers)


def _body(error: OError) -> dict[str, object]:
    if isinstance(error, ConversationBusy):
        return {"detail": error.message, "run_id": error.run_id}
    if isinstance(error, ApprovalPending):
        detail = {
            "code": "PENDING_APPROVAL",
            "message": error.message,
            "pending_request_id": error.request_id,
        }
        return {"detail": detail}
    return {"detail": error.message}


async def _of_validation(request: Request, error: Exception) -> JSONResponse:
    """V1 gives the list of errors as one string, and examples for ids in the path.

    It shows the input too, which may be a whole body, with its secrets.
    """
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [_without_input(problem) for problem in error.errors()]
    detail = repr(problems)[:8_000]
    if not may_be_json(request.headers.get("content-type")):
        detail = f"{detail} {_NOT_JSON}"
    body: dict[str, object] = {"trace_id": "", "detail": detail}
    examples = [
        _example(problem["loc"][1])
        for problem in problems
        if problem["loc"][0] == "path" and str(problem["loc"][1]).endswith("_id")
    ]
    if examples:
        body["examples"] = examples
    return JSONResponse(body, status_code=422)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if error.status_code == 405 and error.detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
        allowed = request.app.state.allowed.of(request.scope["path"])
        headers |= {"Allow": allowed} if allowed else {}
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=headers)


def _without_input(problem: dict[str, Any]) -> dict[str, Any]:
    shown = {key: problem[key] for key in ("type", "loc", "msg")}
    if problem["type"] == "union_tag_invalid":  # its text quotes the tag
        tags = problem["ctx"]["expected_tags"]
        shown["msg"] = f"The tag does not match any of the expected tags: {tags}"
    return shown


def may_be_json(content_type: str | None) -> bool:
    """Whether a body may be parsed as JSON: it says that it is, or says nothing."""
    return content_type is None or "json" in content_type.lower()


def _example(parameter: str) -> str:
    """An id as the path parameter wants it."""
    name = parameter.removesuffix("_id")
    return f"{_PREFIXES.get(name, name)}-{_EXAMPLE_UUID}"


async def _of_database(request: Request, error: Exception) -> JSONResponse:
    """What the database refuses is 409 as in V1; clients repeat the request unless told not to."""
    sqlstate = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    if sqlstate in _CONTRADICTIONS:
        body = {"detail": "This contradicts what is stored: it is there already, or is in use."}
        return JSONResponse(body, status_code=409, headers=NO_RETRY)
    if sqlstate in _CLASHES:
        body = {"detail": "Another request changes the same thing now; try again."}
        return JSONResponse(body, status_code=409, headers={"retry-after": "1"})
    if isinstance(error, DBAPIError) and is_disk_full(error.orig):
        return JSONResponse({"detail": DISK_IS_FULL}, status_code=503)
    if isinstance(error, DataError):
        return JSONResponse({"detail": _UNFIT}, status_code=422)
    if isinstance(error, SQLAlchemyError) and is_unreachable(error):
        return JSONResponse({"detail": DATABASE_IS_AWAY}, status_code=503)
    return await _of_bug(request, error)


async def _of_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error(
        "request failed",
        extra={"method": request.method, "route": request.scope.get("path")},
        exc_info=error,
    )
    return JSONResponse({"detail": "An unknown error occurred"}, status_code=500)
