"""Our errors as HTTP, in V1's bodies."""

import errno
import logging
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException

from api.wire.answers import error_words, failure_body
from o.domain.runs import RunError
from o.errors import ApprovalPending, ConversationBusy, ModelError, OError, TooMany, Unavailable
from o.storage.database import (
    DISK_IS_FULL,
    is_disk_full,
    is_unfit,
    is_unreachable,
    why_away,
)

_log = logging.getLogger(__name__)

# The official clients post again on 409, 429 and 5xx; this header tells them not to.
NO_RETRY = {"x-should-retry": "false"}

# What ids in paths are named after; every other parameter is named after its id's prefix.
_PREFIXES = {
    "batch": "job",
    "conversation": "conv",
    "folder": "source",
    "environment_variable": "agent-env",
    "sandbox_config": "sandbox",
    "env_var": "sandbox-env",
}
_NOT_JSON = "The body is read as JSON only with the header 'content-type: application/json'."
_NOT_FORM = (
    "A file is sent as a form (multipart/form-data), in the field 'file': `curl -F file=@PATH`."
)
UNAUTHORIZED = (
    "Unauthorized: send the header 'Authorization: Bearer <token>' with a key that is neither "
    "expired nor revoked, or with the token that the operator of this server has set (O_API_TOKEN)."
)
METRICS_UNAUTHORIZED = (
    "Unauthorized: keys of organizations do not open /metrics, which counts for all of them. Send "
    "the header 'Authorization: Bearer <token>' with O_METRICS_TOKEN or O_API_TOKEN, as the "
    "operator of this server has set them."
)
_EXAMPLE_UUID = "123e4567-e89b-42d3-8456-426614174000"

_CONTRADICTIONS = {"23503", "23505"}  # foreign key, unique
_CLASHES = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_NO_MEMORY = "The server has no memory left for this; try again."
_NO_ROOM = "The server has no file descriptors, processes or disk left for this; try again."
_USED_UP = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN}
_ROOM_S = 10
"""When to ask again a disk that was full: nobody makes room within a second."""
_UNFIT = (
    "A value cannot be stored or looked for: text must not hold NUL characters, names must not be "
    "of any length, and numbers must be of the size that is documented."
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


def model_failed(error: ModelError) -> JSONResponse:
    """The same of a model that was asked outside of any run. Workers have repeated what helps."""
    return run_failed(
        RunError(type=error.kind, message=error.message, detail=error.detail, status=error.status)
    )


def unauthorized(said: str = UNAUTHORIZED) -> JSONResponse:
    """V1's answer to a request without a valid token, and how to send one."""
    return JSONResponse({"detail": said}, status_code=401, headers={"www-authenticate": "Bearer"})


def asked_too_often(wait_s: float) -> JSONResponse:
    """What a client is told that asks more often than O_RATE_LIMIT, and when it may again."""
    after = math.ceil(wait_s)
    said = f"Too many requests (O_RATE_LIMIT): ask again in {after} s."
    return JSONResponse({"detail": said}, status_code=429, headers={"retry-after": str(after)})


def too_large(most_bytes: int) -> str:
    """What is said, with 413, of a body that is too big."""
    return f"The body is larger than {most_bytes} bytes (O_MAX_BODY_BYTES)."


def file_too_large(most_bytes: int) -> str:
    """The same of a file that is uploaded."""
    return f"The file is larger than {most_bytes // 1024**2} MiB (O_UPLOAD_LIMIT_MB)."


def not_implemented(operation: str, instead: str = "") -> JSONResponse:
    """What V1 serves and O does not: no client should try again, or think that an id is wrong.

    Args:
        operation: Method and path, as the API spells them.
        instead: What helps in its place, in a sentence.
    """
    detail = f"NOT_IMPLEMENTED: {operation} of the Letta V1 API is not built in this release of O."
    said = {"detail": f"{detail} {instead}".rstrip()}
    return JSONResponse(said, status_code=501, headers=NO_RETRY)


async def database_failed(request: Request, error: Exception) -> JSONResponse:
    """What is answered where the database fails in front of the routes."""
    return await (_of_o if isinstance(error, OError) else _of_database)(request, error)


async def _of_o(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OError)  # noqa: S101  registered for this type
    headers = NO_RETRY if error.status in (409, 501) else {}
    if isinstance(error, Unavailable | TooMany):
        headers = {"retry-after": str(error.retry_after_s or 1)}
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
    if isinstance(error, ModelError):
        return {"detail": error_words(error.message, error.detail)}
    return {"detail": error.message}


async def _of_validation(request: Request, error: Exception) -> JSONResponse:
    """V1 gives the list of errors as one string, and examples for ids in the path.

    It shows the input too, which may be a whole body, with its secrets.
    """
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [_without_input(problem) for problem in error.errors()]
    detail = repr(problems)[:8_000]
    content_type = request.headers.get("content-type")
    if any(problem["loc"] == ("body", "file") for problem in problems):
        detail = f"{detail} {_NOT_FORM}"
    elif not may_be_json(content_type):
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
        return _later(DISK_IS_FULL, after_s=_ROOM_S)
    if is_unfit(error):
        return JSONResponse({"detail": _UNFIT}, status_code=422)
    if isinstance(error, SQLAlchemyError) and is_unreachable(error):
        return _later(why_away(error))
    return await _of_bug(request, error)


def _later(detail: str, *, after_s: int = 1) -> JSONResponse:
    """The same request may work then; the official clients wait that long by themselves."""
    return JSONResponse({"detail": detail}, status_code=503, headers={"retry-after": str(after_s)})


async def _of_bug(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, MemoryError):
        _log.error("a request found no memory", extra={"method": request.method})
        return _later(_NO_MEMORY)
    if isinstance(error, OSError) and error.errno in _USED_UP:
        _log.error("a request found no room", extra={"error": errno.errorcode[error.errno]})
        return _later(_NO_ROOM)
    _log.error(
        "request failed",
        extra={"method": request.method, "route": request.scope.get("path")},
        exc_info=error,
    )
    return JSONResponse({"detail": "An unknown error occurred"}, status_code=500)
