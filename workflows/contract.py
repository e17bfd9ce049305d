"""What the API, the workflow and the activities say to one another: ids and small decisions.

Fields live on in stored histories: new ones get defaults, none is renamed. Activities are named
here by typed stubs; `activities/` holds what runs under the same names.
"""

from dataclasses import dataclass, field
from typing import NoReturn

from temporalio import activity


@dataclass(frozen=True)
class Turn:
    """A run that waits for its turn. Its input is in the database; the model is only shown."""

    run_id: str
    max_steps: int = 50
    model: str = ""


@dataclass
class ConversationState:
    """What an execution carries into the next one; the rest is in the database."""

    conversation_id: str
    agent_id: str
    agent_name: str = ""
    queue: list[Turn] = field(default_factory=list)


@dataclass(frozen=True)
class Accepted:
    """Answer to `send`: how many runs go before this one."""

    run_id: str
    ahead: int


@dataclass(frozen=True)
class StepRef:
    """Which step of which run."""

    run_id: str
    index: int


@dataclass(frozen=True)
class CallRef:
    """Which tool call of a step; the ordinal, from 0, is the key, not the provider's id.

    Attributes:
        parallel: Whether it may run beside its neighbours of which this is true too.
    """

    run_id: str
    step_index: int
    ordinal: int
    name: str
    parallel: bool = False


@dataclass(frozen=True)
class StepOutcome:
    """What a step led to.

    Attributes:
        index: The step that this tells of; later than asked for when the run was further already.
        calls: Tools to run before the next step.
        done: Whether the run is closed.
        first: The run whose turn it is, when it is not this one's: nothing was done.
    """

    index: int
    calls: list[CallRef] = field(default_factory=list)
    done: bool = False
    first: Turn | None = None


@dataclass(frozen=True)
class CallOutcome:
    """How a tool call went; the run is closed when it cannot go on."""

    status: str
    done: bool = False


@dataclass(frozen=True)
class Closing:
    """How a run ends that does not end with a step."""

    run_id: str
    stop_reason: str
    error_type: str = ""
    error_message: str = ""
    error_detail: str = ""
    error_status: int = 500


@activity.defn(name="take_step")
async def take_step(step: StepRef) -> StepOutcome:
    """Ask the model for a step and commit its reply; see `activities.steps`."""
    _only_a_name(step)


@activity.defn(name="run_tool")
async def run_tool(call: CallRef) -> CallOutcome:
    """Run a tool call and commit its return; see `activities.tools`."""
    _only_a_name(call)


@activity.defn(name="close_run")
async def close_run(closing: Closing) -> None:
    """Bring a run to rest; see `activities.runs`."""
    _only_a_name(closing)


def _only_a_name(argument: object) -> NoReturn:
    raise NotImplementedError(f"a stub was called with {type(argument).__name__}")
