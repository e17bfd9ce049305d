"""Runs with their steps: what was asked of agents and when, and what it took. All are finished."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.closed_runs import run_row, step_rows
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, rows_of
from server.letta_import.source import Row
from server.letta_import.target import Target, digest

_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner,
        (SELECT count(*) FROM run_metrics AS m WHERE m.id = t.id) AS metrics,
        md5(t::text || coalesce((SELECT string_agg(md5(s::text), ',' ORDER BY s.id)
            FROM steps AS s WHERE s.run_id = t.id), '')) AS digest
    FROM runs AS t ORDER BY t.id
"""
_STEPS = """
    SELECT s.*, m.id IS NOT NULL AS has_metrics, m.llm_request_ns, m.llm_request_start_ns, m.step_ns
    FROM steps AS s LEFT JOIN step_metrics AS m ON m.id = s.id
    WHERE s.run_id = ANY(%(ids)s) ORDER BY s.run_id, s.created_at, s.id
"""
_ALONE = (
    ("steps", "SELECT count(*) AS n FROM steps AS s WHERE {0}"),
    (
        "step_metrics",
        "SELECT count(*) AS n FROM step_metrics AS m LEFT JOIN steps AS s ON s.id = m.id "
        "WHERE s.id IS NULL OR {0}",
    ),
    (
        "run_metrics",
        "SELECT count(*) AS n FROM run_metrics AS m WHERE NOT EXISTS "
        "(SELECT FROM runs AS r WHERE r.id = m.id)",
    ),
)
_NO_RUN = "NOT EXISTS (SELECT FROM runs AS r WHERE r.id = s.run_id)"
_THREADS = """
    SELECT id, agent_id, is_default FROM conversations
    WHERE deleted_at IS NULL AND (id = ANY(%(ids)s) OR is_default AND agent_id = ANY(%(agents)s))
"""
# One that stands here for a request for approval, and for nothing else, was not moved by this kind.
_HERE = f"""
    SELECT id, {digest("t", ("status", "stop_reason", "conversation_id"))} AS digest
    FROM runs AS t WHERE id = ANY(%(ids)s) AND (
        EXISTS (SELECT FROM moved_rows WHERE moved_rows.kind = 'runs' AND moved_rows.id = t.id)
        OR NOT EXISTS (SELECT FROM approvals WHERE approvals.run_id = t.id))
"""
_STEPS_HERE = """
    SELECT count(*) FROM moved_rows AS moved JOIN steps AS t ON t.run_id = moved.id
    WHERE moved.kind = 'runs'
"""
WORKED_OUT = "worked out from the run here"
OF_NO_RUN = "of no run"


class Runs(TableKind):
    """A run, as one item with its steps and what was measured of them."""

    name = "runs"
    table = "runs"
    here_table = "runs"
    needs: ClassVar = {
        "runs": (
            *("id", "status", "completed_at", "stop_reason", "background", "metadata_"),
            *("request_config", "agent_id", "callback_url", "callback_sent_at", "ttft_ns"),
            *("callback_status_code", "callback_error", "created_at", "updated_at", "is_deleted"),
            *("organization_id", "conversation_id", "_created_by_id"),
        ),
        "steps": (
            *("id", "run_id", "created_at", "updated_at", "status", "stop_reason", "error_type"),
            *("error_data", "model", "model_handle", "provider_name", "prompt_tokens", "tags"),
            *("completion_tokens", "total_tokens", "feedback", "context_window_limit"),
            *("prompt_tokens_details", "completion_tokens_details", "cached_input_tokens"),
            *("cache_write_tokens", "reasoning_tokens", "organization_id", "agent_id"),
        ),
        "step_metrics": ("id", "llm_request_ns", "llm_request_start_ns", "step_ns"),
        "run_metrics": ("id",),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each of an agent that is here, in the conversation where it was."""
        for table, statement in _ALONE:
            (alone,) = context.source.all(statement.format(_NO_RUN))
            if alone["n"]:
                yield LeftOut(table, OF_NO_RUN, alone["n"])
        for rows in context.source.batches(_ROWS):
            steps: dict[str, list[Row]] = defaultdict(list)
            for step in context.source.all(_STEPS, {"ids": [row["id"] for row in rows]}):
                steps[step["run_id"]].append(step)
            threads = _threads(context, rows)
            for row in rows:
                yield from _read(row, steps[row["id"]], threads.get(row["id"]))

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By how they ended."""
        return {row["id"]: row["digest"] for row in target.query(_HERE, {"ids": list(ids)})}

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """Runs and steps; what stands here for a request for approval is made whole."""
        context.target.upsert("runs", rows_of(items, "runs"))
        context.target.upsert("steps", rows_of(items, "steps"))

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Runs and steps; what is measured of a step stands with it."""
        return {**super().count_here(context), "steps": context.target.count(_STEPS_HERE)}


def _threads(context: Context, rows: Sequence[Row]) -> dict[str, str]:
    """By a run's id, the conversation here that it belongs to."""
    if context.is_dry:
        return {row["id"]: row["conversation_id"] or "" for row in rows if row["agent_id"]}
    found = context.target.query(
        _THREADS,
        {
            "ids": [row["conversation_id"] for row in rows if row["conversation_id"]],
            "agents": [row["agent_id"] for row in rows if row["agent_id"]],
        },
    )
    here = {one["id"] for one in found}
    own = {one["agent_id"]: one["id"] for one in found if one["is_default"]}
    threads = {}
    for row in rows:
        named = row["conversation_id"]
        thread = own.get(row["agent_id"]) if named is None else named if named in here else None
        if thread is not None:
            threads[row["id"]] = thread
    return threads


def _read(row: Row, steps: Sequence[Row], thread: str | None) -> Iterator[Item | LeftOut]:
    metrics = sum(bool(step["has_metrics"]) for step in steps)
    counts = {
        "runs": 1,
        "steps": len(steps),
        "step_metrics": metrics,
        "run_metrics": row["metrics"],
    }
    reason = FLAGGED if row["is_deleted"] else NO_OWNER if not row["has_owner"] else None
    if reason is None and thread is None:
        reason = NOT_HERE
    if reason is not None:
        yield from (LeftOut(table, reason, count) for table, count in counts.items() if count)
        return
    run = run_row(row, steps, str(thread))
    worked_out = {"run_metrics": row["metrics"]} if row["metrics"] else {}
    yield Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=row["digest"],
        tables=counts,
        rows={"runs": [run], "steps": step_rows(row, steps)},
        left={table: {WORKED_OUT: count} for table, count in worked_out.items()},
    )
