"""Every timeout and retry of the workflow, side by side."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.common import RetryPolicy

from o.errors import Failure

# Temporal alone retries. What must not be retried says so; what is left is a part that is down
# or a worker that died, and those are waited for without limit. A step that kills its workers is
# stopped by its count of attempts in the database (`crash_attempts`).
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=50),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=3),
)


@dataclass(frozen=True)
class ModelRetry:
    """What follows when a model call has failed.

    Attributes:
        is_retried: Whether the same request is worth repeating; how often in all is the
            operator's to say (`model_attempts`).
        first_pause_s: Before the second request; it doubles with each one after, up to
            `LONGEST_MODEL_PAUSE_S`. What the provider asks for goes before it.
        falls_back: Whether an agent's next model is asked once nothing else is left.
        rests: Whether it speaks of the provider as a whole, which rests for a while when many
            runs meet it.
    """

    is_retried: bool = False
    first_pause_s: float = 0.5
    falls_back: bool = False
    rests: bool = False


MODEL_RETRIES = {
    Failure.RATE_LIMIT: ModelRetry(is_retried=True, first_pause_s=1, falls_back=True, rests=True),
    Failure.OVERLOADED: ModelRetry(is_retried=True, first_pause_s=1, falls_back=True, rests=True),
    Failure.UNREACHABLE: ModelRetry(is_retried=True, falls_back=True, rests=True),
    Failure.TIMEOUT: ModelRetry(is_retried=True, falls_back=True, rests=True),
    Failure.SERVER_ERROR: ModelRetry(is_retried=True, falls_back=True),
    Failure.GARBLED: ModelRetry(is_retried=True, first_pause_s=0.1, falls_back=True),
    Failure.EMPTY: ModelRetry(falls_back=True),
    Failure.AUTHENTICATION: ModelRetry(falls_back=True),
    Failure.FORBIDDEN: ModelRetry(falls_back=True),
    Failure.NO_CREDIT: ModelRetry(falls_back=True),
    Failure.NOT_FOUND: ModelRetry(falls_back=True),
    # Another model would be asked the same: these are about what we ask.
    Failure.CONTEXT_WINDOW: ModelRetry(),
    Failure.CONTENT_FILTER: ModelRetry(),
    Failure.BAD_REQUEST: ModelRetry(),
    Failure.UNUSABLE: ModelRetry(),
}
LONGEST_MODEL_PAUSE_S = 30.0
IMPATIENCE_S = 10.0
"""A model that asks for a longer pause gives way at once to the next one, where there is one."""

# A provider that fails for as many conversations as the operator says
# (`provider_rest_conversations`) within the window, with no success between, is left alone; then
# one call tries it, and the others wait on.
FAILURES_WITHIN_S = 60.0
FIRST_REST_S = 5.0
LONGEST_REST_S = 60.0
PROBE_LEASE_S = 30.0
LONGEST_LOOK_S = 10.0
"""Who waits looks this often whether the rest is over sooner."""
REST_PATIENCE_S = 600.0
"""A step that has waited so long fails with what the provider was last seen to do."""

COMPACTIONS = 3
"""How often room is made for one step. The prompt then goes out as it is, and what its provider
says of it counts."""

STEP_TIMEOUT = timedelta(minutes=30)
# Longer than any tool may be given (`sandbox_timeout_s`, `mcp_call_timeout_s`): a call that this
# ends is taken for one whose worker died, and one that can be repeated is repeated for ever.
TOOL_TIMEOUT = timedelta(minutes=90)
RECORD_TIMEOUT = timedelta(seconds=30)
HEARTBEAT_TIMEOUT = timedelta(seconds=2)

# What is short and what others wait for (a cancel, a decision, the end of a run) has a task queue
# of its own, and so have callbacks, which wait for foreign receivers, and what the API asks of
# workers: no number of model calls that hang keeps them waiting. Steps and tools stay on the queue
# of the conversation, because a worker is handed the activities of its own workflow tasks at once;
# model calls that the API asks for are with them, so that they keep none of its other work waiting.
_CONTROL = "-control"
_CALLBACKS = "-callbacks"
_REQUESTS = "-requests"
_EMBEDDING = "-embedding"
_FILES = "-files"

MODEL_CALL = "model_call"
"""What the API asks of workers that is a model call, by its kind."""


def control_queue(task_queue: str) -> str:
    """Where the short activities of the conversations on `task_queue` are carried out."""
    return task_queue + _CONTROL


def callback_queue(task_queue: str) -> str:
    """Where the callbacks of the runs on `task_queue` are sent."""
    return task_queue + _CALLBACKS


def request_queue(task_queue: str, kind: str = "") -> str:
    """Where workers are asked for what the API does not do itself, by the kind of it."""
    return task_queue if kind == MODEL_CALL else task_queue + _REQUESTS


def embedding_queue(task_queue: str) -> str:
    """Where passages are embedded."""
    return task_queue + _EMBEDDING


def file_queue(task_queue: str) -> str:
    """Where files are read: one that takes long keeps nothing but other files waiting."""
    return task_queue + _FILES


# Beyond the longest that reading may be given (`parse_timeout_s`), and storing what was read.
FILE_TIMEOUT = timedelta(minutes=30)

# One activity works for some time at an archive, then others have their turn; an index that is made
# meanwhile takes what it takes.
EMBEDDING_TIMEOUT = timedelta(hours=6)
EMBEDDING_S = 20.0
# A model that fails is left alone for so long, and twice as long each time.
FIRST_EMBEDDING_PAUSE_S = 5.0
LONGEST_EMBEDDING_PAUSE_S = 900.0
# Beyond what a worker takes for one activity and its death: then the sweeper looks after it.
EMBEDDING_LEASE_S = 120.0
EVENTS_OF_EMBEDDING = 500
# Messages are embedded when nobody has said anything for so long: turns go first. Where people talk
# on and on, they wait for no longer than this.
QUIET_MESSAGES_S = 3.0
PATIENT_MESSAGES_S = 60.0


REQUEST_GRACE = timedelta(seconds=15)
"""Past the time that a client waits: to end what runs, and to keep what came of it."""

# A receiver that is away is asked again after 1 s, 3 s, 9 s, … up to an hour; how often in all is
# the operator's to say (`callback_attempts`).
CALLBACK_TIMEOUT = timedelta(seconds=30)
CALLBACK_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=3.0,
    maximum_interval=timedelta(hours=1),
)

# A workflow task that went to a worker which died is given to another after this.
TASK_TIMEOUT = timedelta(seconds=2)

IDLE_TIMEOUT = timedelta(hours=24)

# Between turns a history of this length is handed over to a new execution once nobody has spoken
# for a moment; past the limit, with the next turn. A worker that does not know an execution reads
# its whole history again, about 0.35 ms an event.
EVENTS_BETWEEN_TURNS = 150
# The limit is some 115 turns: the one that meets the hand-over takes 100 ms more, and fewer than
# one in a hundred are to.
EVENTS_BETWEEN_TURNS_LIMIT = 1_200
QUIET = timedelta(seconds=5)
# Temporal lets a second pass between the beginnings of two executions (continueAsNewMinInterval): a
# younger one would keep the turn waiting.
YOUNG = timedelta(seconds=1.1)
OLD_QUIET = timedelta(seconds=1)
EVENTS_INSIDE_TURN = 1_000
EVENTS_OF_A_TURN = 100

# A turn shorter than this does not change the search attribute RunStatus: each change costs.
WORTH_SHOWING = timedelta(seconds=1)
# The time of the last message that the memo shows may be so much too early, for the same reason.
SHOW_TIME_EVERY = timedelta(minutes=1)

# What executions that are open may have decided otherwise before; see `workflow.patched`.
CANCEL_BUTTON = "cancel-button"
CLOSE_STOPS_WORK = "close-stops-work"
HAND_OVER_AT_REST = "hand-over-at-rest"
SHOWS_TIME = "shows-time-of-last-message"

TRACE_HEADER = "traceparent"
"""The header of messages and activities that says in which trace they are (`workflows.traces`)."""
