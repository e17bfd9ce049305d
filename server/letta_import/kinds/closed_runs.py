"""Runs and steps of V1 as they stand here: every one finished, whatever V1 says of it.

V1 leaves runs open for ever, those that were answered as well as those that were cut off. Here an
open run is one that goes on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from o.domain.runs import RequestConfig, RunError, RunOptions, RunStatus, StopReason, Usage
from server.letta_import.kinds.sealing import object_in
from server.letta_import.kinds.table_kind import stamps
from server.letta_import.source import Row

_CUT_OFF = RunError(type="interrupted", message="The server was stopped in the middle of it.")
_FAILED = RunError(type="internal_error", message="It failed in V1.")
_STATUSES = {
    "completed": RunStatus.COMPLETED,
    "failed": RunStatus.FAILED,
    "expired": RunStatus.FAILED,
    "cancelled": RunStatus.CANCELLED,
}
_REASONS = {
    RunStatus.COMPLETED: StopReason.END_TURN,
    RunStatus.FAILED: StopReason.ERROR,
    RunStatus.CANCELLED: StopReason.CANCELLED,
}
_MOST_CHARS = 8_000


def run_row(row: Row, steps: Sequence[Row], thread: str) -> dict[str, Any]:
    """A run of V1 as a row of `runs`."""
    made = stamps(row)
    status, error = _end(row, steps)
    completed = _in_utc(row["completed_at"]) or max(
        [step["updated_at"] or step["created_at"] for step in steps if step["created_at"]],
        default=made["updated_at"],
    )
    usage = Usage()
    for step in steps:
        usage = usage.plus(_usage(step))
    first = row["ttft_ns"]
    started = made["created_at"]
    return {
        **{name: row[name] for name in ("id", "organization_id", "agent_id")},
        "conversation_id": thread,
        "request_key": f"letta:{row['id']}",
        "body_hash": "",
        "status": status,
        "stop_reason": _reason(row, steps, status),
        "input": [],
        "options": _options(row).model_dump(mode="json"),
        "usage": usage.model_dump(mode="json"),
        "error": None if error is None else error.model_dump(mode="json"),
        "steps_done": sum(step["status"] == "SUCCESS" for step in steps),
        "next_seq": 1,
        "created_by_id": row["_created_by_id"],
        "created_at": started,
        "started_at": started,
        "completed_at": max(completed, started),
        "first_token_at": started + timedelta(microseconds=first // 1_000) if first else None,
        "events_kept": False,
        "callback_url": row["callback_url"],
        "callback_sent_at": _called_back(row, completed),
        "callback_status_code": row["callback_status_code"],
        "callback_error": row["callback_error"],
    }


def _called_back(row: Row, completed: datetime) -> datetime | None:
    """When; a run that was to be followed by a call is followed by none any more."""
    return _in_utc(row["callback_sent_at"]) or (completed if row["callback_url"] else None)


def step_rows(row: Row, steps: Sequence[Row]) -> list[dict[str, Any]]:
    """The steps of a run, in their order, as rows of `steps`."""
    return [_step(row, step, index) for index, step in enumerate(steps)]


def _end(row: Row, steps: Sequence[Row]) -> tuple[RunStatus, RunError | None]:
    status = _STATUSES.get(str(row["status"]))
    if status is None:
        is_whole = bool(steps) and steps[-1]["status"] == "SUCCESS" and steps[-1]["stop_reason"]
        return (RunStatus.COMPLETED, None) if is_whole else (RunStatus.FAILED, _CUT_OFF)
    return status, _error(steps) if status is RunStatus.FAILED else None


def _error(steps: Sequence[Row]) -> RunError:
    for step in reversed(steps):
        said = object_in(step["error_data"]).get("message")
        if step["error_type"] or said:
            message = str(said or _FAILED.message)[:_MOST_CHARS]
            return RunError(type=str(step["error_type"] or _FAILED.type)[:200], message=message)
    return _FAILED


def _reason(row: Row, steps: Sequence[Row], status: RunStatus) -> StopReason:
    """Why it ended: V1 has more words for it than there are here."""
    last = steps[-1]["stop_reason"] if steps else None
    for said in (row["stop_reason"], last):
        try:
            found = StopReason(str(said))
        except ValueError:
            continue
        if found.status is status:
            return found
    return _REASONS[status]


def _options(row: Row) -> RunOptions:
    run_type = object_in(row["metadata_"]).get("run_type")
    try:
        config = RequestConfig.model_validate(object_in(row["request_config"]))
    except ValidationError:
        config = RequestConfig()
    return RunOptions(
        background=bool(row["background"]),
        run_type=run_type if isinstance(run_type, str) else "send_message",
        request_config=config,
    )


def _step(row: Row, step: Row, index: int) -> dict[str, Any]:
    made = stamps(step)
    took = step["step_ns"]
    started = made["created_at"]
    end = started + timedelta(microseconds=took // 1_000) if took else made["updated_at"]
    handle = step["model_handle"] or f"{step['provider_name'] or 'unknown'}/{step['model'] or ''}"
    tags = step["tags"]
    return {
        "id": step["id"],
        "organization_id": row["organization_id"],
        "run_id": row["id"],
        "agent_id": row["agent_id"],
        "index": index,
        "status": "success" if step["status"] == "SUCCESS" else "failed",
        "attempts": 1,
        "model": handle,
        "finish_reason": None,
        "usage": _usage(step).model_dump(mode="json"),
        "created_at": started,
        "completed_at": end,
        "model_started_ns": step["llm_request_start_ns"],
        "model_ns": step["llm_request_ns"],
        "feedback": step["feedback"],
        "tags": [one for one in tags if isinstance(one, str)] if isinstance(tags, list) else [],
        "fallback": 0,
        "tries": 0,
        "failures": 0,
    }


def _usage(step: Row) -> Usage:
    prompt = object_in(step["prompt_tokens_details"])
    completion = object_in(step["completion_tokens_details"])

    def first(*found: Any) -> int:
        return next((one for one in found if isinstance(one, int) and one > 0), 0)

    total = first(step["total_tokens"])
    window = first(step["context_window_limit"])
    return Usage(
        prompt_tokens=first(step["prompt_tokens"]),
        completion_tokens=first(step["completion_tokens"]),
        total_tokens=total,
        cached_input_tokens=first(
            step["cached_input_tokens"],
            prompt.get("cached_tokens"),
            prompt.get("cache_read_tokens"),
        ),
        cache_write_tokens=first(step["cache_write_tokens"], prompt.get("cache_creation_tokens")),
        reasoning_tokens=first(step["reasoning_tokens"], completion.get("reasoning_tokens")),
        step_count=1,
        context_tokens=total,
        fullest_tokens=total,
        window_tokens=window,
    )


def _in_utc(time: datetime | None) -> datetime | None:
    """A time of V1, which has no zone where UTC is meant."""
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
