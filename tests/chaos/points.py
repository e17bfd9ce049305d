"""Every kill point: where in the product's processes a test can make time stand still.

The one table of them, read by the tests and, inside the product's processes, by
`inject/sitecustomize.py`. The product knows nothing of it: when a function is renamed there, its
name changes here. Only the standard library is imported, because every process reads this.
"""

from dataclasses import dataclass
from typing import Literal

Moment = Literal["before", "after", "answer-start", "answer-part"]


@dataclass(frozen=True)
class Point:
    """One instant in the life of a message.

    Attributes:
        name: What tests call it, followed by `-<place>` where there is one.
        process: Which process passes by.
        target: `module:attribute` of the coroutine function that is wrapped.
        moment: Before or after the call; or, for an ASGI application, before the answer starts
            or before a part of it that shows something the model said.
        place: An attribute of one of its arguments that tells this call from others.
        nth: How many calls pass before one stops, counted while the point is armed.
        command: The command that a workflow task's completion must have, for those.
    """

    name: str
    process: Literal["api", "worker"]
    target: str
    moment: Moment
    place: str = ""
    nth: int = 1
    command: str = ""


_TELL = "o.temporal.conversations:submit_run"
_TASK_DONE = "temporalio.bridge.worker:Worker.complete_workflow_activation"
_APP = "fastapi:FastAPI.__call__"

POINTS = (
    # Acceptance.
    Point("request-parsed", "api", "api.turns.turns:Turns.send", "before"),
    Point("run-stored", "api", _TELL, "before"),
    Point("turn-taken", "worker", _TASK_DONE, "before", command="schedule_activity"),
    Point("run-signalled", "api", _TELL, "after"),
    # A step.
    Point("step-begun", "worker", "activities.steps:StepActivities.take_step", "before", "index"),
    Point("step-opened", "worker", "o.storage.turn.opening:open_step", "after"),
    Point("prompt-built", "worker", "o.llm.models:Models.complete", "before"),
    Point("tokens-coming", "worker", "activities.step.deltas:DeltaWriter.write", "before", nth=10),
    Point("model-failed", "worker", "activities.step.failing:after_failure", "before"),
    Point("model-given-up", "worker", "activities.step.failing:after_failure", "after"),
    Point("model-replied", "worker", "o.llm.models:Models.complete", "after"),
    Point(
        "step-uncommitted", "worker", "o.storage.turn.committing:commit_reply", "before", "index"
    ),
    Point(
        "step-committed", "worker", "activities.steps:StepActivities.take_step", "after", "index"
    ),
    # Room that is made for a step.
    Point("room-wanted", "worker", "activities.compact:CompactActivities.compact", "before"),
    Point("summary-written", "worker", "o.storage.history.window:commit_compaction", "before"),
    Point("room-uncommitted", "worker", "o.storage.history.window:commit_compaction", "after"),
    Point("room-made", "worker", "activities.compact:CompactActivities.compact", "after"),
    # A tool call.
    Point("tool-begun", "worker", "activities.tools:ToolActivities.run_tool", "before", "ordinal"),
    Point("tool-done", "worker", "activities.tool_call:commit_return", "before"),
    Point("return-alone", "worker", "activities.tool_call:commit_return_alone", "before"),
    Point(
        "tool-committed",
        "worker",
        "activities.tools:ToolActivities.run_tool",
        "after",
        "step_index",
    ),
    Point("tool-started", "worker", "activities.runners.outside_calls:start_call", "after"),
    Point("files-opened", "worker", "o.storage.agents.agent_memory:open_requested", "after"),
    # The end of a run, and of an execution.
    Point("close-begun", "worker", "activities.runs:RunActivities.close_run", "before"),
    Point("close-committed", "worker", "activities.runs:RunActivities.close_run", "after"),
    Point("run-closed", "api", _APP, "answer-start"),
    Point("stream-relayed", "api", _APP, "answer-part"),
    Point(
        "handing-over",
        "worker",
        _TASK_DONE,
        "before",
        command="continue_as_new_workflow_execution",
    ),
    Point("sweeping", "worker", _TELL, "before"),
    # An answer to an approval request, and what is decided in Temporal.
    Point(
        "answer-begun", "worker", "activities.approvals:ApprovalActivities.begin_answer", "before"
    ),
    Point(
        "answer-settled", "worker", "activities.approvals:ApprovalActivities.begin_answer", "after"
    ),
    Point("verdict-begun", "worker", "activities.approvals:ApprovalActivities.decide", "before"),
    Point("verdict-recorded", "worker", "activities.approvals:ApprovalActivities.decide", "after"),
    Point("expiry-stored", "worker", "server.sweep.approvals:ApprovalSweeper._submit", "before"),
    # A cancel.
    Point("cancel-stored", "api", "o.temporal.conversations:stop_cancelled", "before"),
    Point("cancel-begun", "worker", "activities.runs:RunActivities.cancel_runs", "before"),
    Point("cancel-done", "worker", "activities.runs:RunActivities.cancel_runs", "after"),
    # A callback.
    Point("run-at-rest", "api", "o.temporal.conversations:start_callback", "before"),
    Point("callback-sent", "worker", "o.storage.callbacks:record_callback", "before"),
    # Passages and their vectors.
    Point("embedding-unstarted", "api", "o.temporal.embeddings:start_embedding", "before"),
    Point("passages-found", "worker", "o.storage.archives.vectors:fill_part", "after"),
    Point(
        "vectors-made",
        "worker",
        "o.llm.embedding.text_embedder:TextModels.embed_each",
        "after",
        nth=2,
    ),
    Point("vectors-uncommitted", "worker", "o.storage.archives.vectors:store_vectors", "after"),
    Point(
        "vectors-kept",
        "worker",
        "activities.embedding.archive_work:ArchiveWork._embed_batch",
        "after",
    ),
    Point("space-unswitched", "worker", "o.storage.archives.embedding:switch_space", "after"),
    Point("vectors-dropped", "worker", "o.storage.archives.vectors:drop_vectors", "after"),
    # Messages and their vectors.
    Point(
        "message-vectors-unstarted",
        "worker",
        "server.sweep.message_embedding:MessageEmbeddingSweeper._start",
        "before",
    ),
    Point(
        "message-vectors-made",
        "worker",
        "o.llm.embedding.text_embedder:TextModels.embed_each",
        "after",
        nth=2,
    ),
    Point(
        "message-vectors-uncommitted",
        "worker",
        "o.storage.history.vectors:store_message_vectors",
        "after",
    ),
    Point(
        "message-vectors-kept",
        "worker",
        "activities.embedding.message_work:MessageWork._embed_batch",
        "after",
    ),
    # A file and its passages.
    Point("ingestion-unstarted", "api", "o.temporal.ingestions:start_ingestion", "before"),
    Point("file-taken", "worker", "o.storage.files.ingestion:take_file", "after"),
    Point("file-read", "worker", "o.files.processes:FileProcesses.read", "after"),
    Point("content-uncommitted", "worker", "o.storage.files.ingestion:keep_content", "after"),
    Point(
        "passages-uncommitted", "worker", "o.storage.files.ingestion:keep_passages", "after", nth=2
    ),
    Point("file-uncompleted", "worker", "o.storage.files.ingestion:complete_file", "before"),
    Point("file-unsettled", "worker", "o.storage.files.ingestion:complete_file", "after"),
    Point(
        "file-completed", "worker", "activities.ingestion:IngestionActivities.ingest_file", "after"
    ),
    # What is not a message.
    Point("agent-stored", "api", "o.storage.agents.agents:add_agent", "after"),
    Point("block-changed", "api", "o.storage.agents.blocks:change_block", "after"),
)
