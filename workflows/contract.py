"""What the API, the workflow and the activities say to one another: ids and small decisions.

Fields live on in stored histories: new ones get defaults, none is renamed. Activities are named
here by typed stubs; `activities/` holds what runs under the same names. What is said of texts
that are read and embedded stands in `text_contract.py`.
"""

from dataclasses import dataclass, field
from typing import NoReturn

from temporalio import activity


@dataclass(frozen=True)
class Turn:
    """A run that waits for its turn. Its input is in the database; the model is only shown.

    Attributes:
        answers: Whether it answers an approval request: it goes first, and begins with the calls.
        fallback: How many models it has given up: the next steps ask `model` at once.
    """

    run_id: str
    max_steps: int = 50
    model: str = ""
    answers: bool = False
    fallback: int = 0


@dataclass(frozen=True)
class PendingApproval:
    """An approval request that the conversation waits for, as Temporal shows it.

    Attributes:
        id: The id of the message that asks; the API shows it, with the arguments.
        calls: The tool call ids that can be decided.
        tools: Their tools' names, in the same order.
    """

    id: str
    calls: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)


@dataclass
class ConversationState:
    """What an execution carries into the next one; the rest is in the database.

    Attributes:
        pending: What the conversation waits for, as far as is known here.
        history_limit: Events past which the execution hands over with the next turn. It goes with
            the execution, so that a release with another limit replays it; the default is that of
            the releases which did not say.
    """

    conversation_id: str
    agent_id: str
    agent_name: str = ""
    queue: list[Turn] = field(default_factory=list)
    pending: PendingApproval | None = None
    history_limit: int = 600


@dataclass(frozen=True)
class Accepted:
    """Answer to `send`: how many runs go before this one."""

    run_id: str
    ahead: int


@dataclass(frozen=True)
class StepRef:
    """Which step of which run, and how many of the agent's models the turn has given up.

    Attributes:
        compactions: How often room was made for it; at `options.COMPACTIONS`, none is to be made.
    """

    run_id: str
    index: int
    fallback: int = 0
    compactions: int = 0


@dataclass(frozen=True)
class CallRef:
    """Which tool call of a step; the ordinal, from 0, is the key, not the provider's id.

    Attributes:
        asked_in: The run of the step, when the call was approved and is made in a later run.
        parallel: Whether it may run beside its neighbours of which this is true too.
    """

    run_id: str
    step_index: int
    ordinal: int
    name: str
    asked_in: str = ""
    parallel: bool = False


@dataclass(frozen=True)
class StepOutcome:
    """What a step led to.

    Attributes:
        index: The step that this is about; later than asked for when the run was further already.
        calls: Tools to run before the next step.
        done: Whether the run is closed.
        first: The run whose turn it is, when it is not this one's: nothing was done.
        pending: The approval request that the run ended with or, when it is not done, has to wait
            for: nothing was done.
        compact: Whether the prompt is too long: nothing was done, and room is to be made first.
        tokens: What it was counted to take then.
        refused: Whether the provider found it too long, rather than we.
    """

    index: int
    calls: list[CallRef] = field(default_factory=list)
    done: bool = False
    first: Turn | None = None
    pending: PendingApproval | None = None
    compact: bool = False
    tokens: int = 0
    refused: bool = False


@dataclass(frozen=True)
class CompactRef:
    """Room that is to be made in the window of a run's conversation, ahead of a step.

    Attributes:
        ordinal: How often it was made for this step before.
        tokens: What the prompt was counted to take.
        refused: Whether the provider found it too long.
    """

    run_id: str
    index: int
    ordinal: int = 0
    fallback: int = 0
    tokens: int = 0
    refused: bool = False


@dataclass(frozen=True)
class Compacted:
    """What came of it.

    Attributes:
        done: Whether the run is closed meanwhile.
        smaller: Whether the prompt is shorter now; else nothing can go.
    """

    done: bool = False
    smaller: bool = True


@dataclass(frozen=True)
class CallOutcome:
    """How a tool call went; the run is closed when it cannot go on."""

    status: str
    done: bool = False


@dataclass(frozen=True)
class Closing:
    """How a run ends that does not end with a step.

    The words of a model's failure are in the database; without a message, they are taken there.
    """

    run_id: str
    stop_reason: str
    error_type: str = ""
    error_message: str = ""
    error_detail: str = ""
    error_status: int = 500


@dataclass(frozen=True)
class Verdict:
    """What a person decides in Temporal: `{"tool_call_id": "call_1", "approve": true}`.

    Attributes:
        tool_call_id: Which call; the id of the request for every call that waits. Empty is
            refused: it would be about whatever waits when it arrives, seen or not.
        approve: Whether it may be made.
        reason: Why, for the model to read.
    """

    approve: bool
    tool_call_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Decide:
    """A verdict on what a conversation waits for. The run that it makes gets `run_id`."""

    conversation_id: str
    run_id: str
    verdict: Verdict


@dataclass(frozen=True)
class Decided:
    """What came of a verdict: the run that carries on, or the calls that still wait.

    Attributes:
        run_id: The run that the answer made, the same when it is given again.
    """

    turn: Turn | None = None
    pending: PendingApproval | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Cancel:
    """What is to be cancelled in a conversation: these runs, or whatever is open."""

    conversation_id: str = ""
    run_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CancelledRuns:
    """Which runs were cancelled, and the approval request that still waits, if one does."""

    run_ids: list[str] = field(default_factory=list)
    pending: PendingApproval | None = None


@dataclass(frozen=True)
class ConversationRef:
    """Which conversation."""

    conversation_id: str


@dataclass(frozen=True)
class CallbackRef:
    """Whose end a callback is about: a run's, or a batch's; the other id is empty."""

    run_id: str = ""
    batch_id: str = ""


@dataclass(frozen=True)
class RequestRef:
    """What the API asks of a worker.

    Attributes:
        kind: For the reader of the history.
        timeout_s: How long the API waits, in seconds.
    """

    id: str
    kind: str
    timeout_s: float = 60.0


@activity.defn(name="take_step")
async def take_step(step: StepRef) -> StepOutcome:
    """Ask the model for a step and commit its reply; see `activities.steps`."""
    only_a_name(step)


@activity.defn(name="compact")
async def compact(request: CompactRef) -> Compacted:
    """Put a summary in the place of a part of history; see `activities.compact`."""
    only_a_name(request)


@activity.defn(name="run_tool")
async def run_tool(call: CallRef) -> CallOutcome:
    """Run a tool call and commit its return; see `activities.tools`."""
    only_a_name(call)


@activity.defn(name="begin_answer")
async def begin_answer(turn: Turn) -> StepOutcome:
    """Commit what was answered to an approval request; see `activities.approvals`."""
    only_a_name(turn)


@activity.defn(name="decide")
async def decide(request: Decide) -> Decided:
    """Record a verdict that was given in Temporal; see `activities.approvals`."""
    only_a_name(request)


@activity.defn(name="cancel_runs")
async def cancel_runs(request: Cancel) -> CancelledRuns:
    """Close runs as cancelled; see `activities.runs`."""
    only_a_name(request)


@activity.defn(name="find_pending")
async def find_pending(conversation: ConversationRef) -> PendingApproval | None:
    """Look what a conversation waits for; see `activities.approvals`."""
    only_a_name(conversation)


@activity.defn(name="close_run")
async def close_run(closing: Closing) -> None:
    """Close a run; see `activities.runs`."""
    only_a_name(closing)


@activity.defn(name="send_callback")
async def send_callback(callback: CallbackRef) -> None:
    """Tell a client's URL of the end of a run; see `activities.callbacks`."""
    only_a_name(callback)


@activity.defn(name="serve_request")
async def serve_request(request: RequestRef) -> None:
    """Carry out what the API asks; see `activities.worker_requests`."""
    only_a_name(request)


def only_a_name(argument: object) -> NoReturn:
    """What a stub does: it names its activity, and is never run."""
    raise NotImplementedError(f"a stub was called with {type(argument).__name__}")
