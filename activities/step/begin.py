"""How a step begins: what its model is asked, or what came of a step that is not to be taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity

from activities.pending import pending_request
from activities.step.choosing import Choice, choose_model
from activities.step.context_fill import Size, measure
from activities.step.prompt_cache import Contexts
from o.domain.agents import Agent
from o.domain.llm import ModelRequest
from o.domain.messages import Message, TextPart, ToolReturn
from o.domain.rules.foresight import Foresight
from o.domain.rules.kinds import RuleState, need_history, rule_state
from o.domain.runs import Run
from o.domain.tools import StoredTool
from o.errors import ModelError, Unavailable, Unreadable
from o.ids import derived_id
from o.memory.prompt import compile_prompt, prompt_key, prompt_of_request, shows_other_files
from o.storage.archives.agent_archives import sum_up_archives
from o.storage.database import Database
from o.storage.files.directories import read_directories
from o.storage.history.messages import rewrite_system_message
from o.storage.turn.closing import close_unreadable_run
from o.storage.turn.opening import OpenStep, open_step
from o.storage.turn.runs import RunOfAgent, first_open_run, get_run, list_request_runs
from o.storage.turn.steps import get_step_reply, list_request_returns
from o.temporal.refs import call_refs, turn_of
from o.tools.model_request import model_request
from workflows.contract import StepOutcome, StepRef


@dataclass(frozen=True)
class StepToTake:
    """A step that has begun: what to ask, and what the reply is committed to.

    Attributes:
        choice: Which model is asked.
        tools: Those of the agent's tools that are rows.
        history: What the request's calls have returned, where the agent's rules ask for it.
        rules: How the agent's rules stand before the step.
        size: How much of the context window the request takes.
        tries: How often its model has failed at it.
    """

    run: Run
    agent: Agent
    index: int
    step_id: str
    attempt: int
    request: ModelRequest
    history: list[ToolReturn]
    rules: RuleState
    choice: Choice
    size: Size
    tools: Sequence[StoredTool] = ()
    tries: int = 0

    def foresight(self) -> Foresight:
        """What is known of the calls of the reply, of the first at first."""
        return Foresight(self.agent, self.run.options.client_tools or (), self.history)


async def begin_step(
    database: Database, contexts: Contexts, step: StepRef, crash_attempts: int
) -> StepToTake | StepOutcome:
    """Begin a step, or tell what came of it when it has been taken already.

    The database commits each statement by itself.

    Raises:
        ModelError: `internal_error`, when the step has lost its worker too often.
        ApplicationError: The workflow is to turn to another model.
        ProviderRests: The provider is left alone now, and there is no other model.
    """
    step_id = derived_id("step", step.run_id, step.index)
    context = contexts.take(str(activity.info().workflow_id))  # which is the conversation's
    async with database.quick() as connection:
        opened = await open_step(
            connection, step.run_id, step.index, step_id, context.mark, fallback=step.fallback
        )
    if opened is None:
        return await _not_this_one(database, step)
    if opened.attempt is None:
        return await _what_is_done(database, opened)
    system = await _system_message(database, opened, is_new_turn=step.index == 0)
    history, carried_on = await _earlier(database, opened)
    in_vain = opened.attempt - opened.failures  # failures of models are counted by themselves
    if in_vain > crash_attempts:
        raise ModelError(
            "internal_error", f"The step was given up: it was begun {in_vain - 1} times in vain."
        )
    choice = await choose_model(database, opened, step, step_id, opened.attempt)
    rules = rule_state(opened.agent.tool_rules, opened.agent.tool_names, history)
    system = prompt_of_request(system, opened.run.options)
    prompt = contexts.prompt(context, opened, system, choice.handle, carried_on)
    client_tools = opened.run.options.client_tools or ()
    request = model_request(
        choice.agent_of(opened.agent), choice.handle, prompt, rules, client_tools, opened.tools
    )
    request = request.model_copy(update={"providers_mark": opened.providers_mark})
    return StepToTake(
        opened.run,
        opened.agent,
        step.index,
        step_id,
        opened.attempt,
        request,
        history,
        rules,
        choice,
        await measure(contexts.counts(opened.conversation.id), request, opened.reported),
        opened.tools,
        opened.tries,
    )


async def _earlier(database: Database, opened: OpenStep) -> tuple[list[ToolReturn], list[str]]:
    """What the request's calls have returned, and the runs that it carries on, where they matter.

    For most agents neither does, and no connection is taken.
    """
    agent, run = opened.agent, opened.run
    history: list[ToolReturn] = []
    carried_on: list[str] = []
    if need_history(agent.tool_rules):
        async with database.connect() as connection:
            history = await list_request_returns(connection, run.id)
    if agent.message_buffer_autoclear:
        async with database.connect() as connection:
            carried_on = await list_request_runs(connection, run)
    return history, carried_on


async def _what_is_done(database: Database, opened: OpenStep) -> StepOutcome:
    """The newest step that is committed, for a workflow that does not know of it."""
    index = opened.run.steps_done - 1
    async with database.connect() as connection:
        reply = await get_step_reply(connection, opened.run.id, index)
    calls = reply.tool_calls if reply else []
    refs = call_refs(opened.agent, opened.run.id, index, calls, stored=opened.tools)
    return StepOutcome(index, refs)


async def _not_this_one(database: Database, step: StepRef) -> StepOutcome:
    """The run is closed or gone, or has to wait: order is what the database says."""
    async with database.connect() as connection:
        run = await get_run(connection, step.run_id)
        if run is None:
            return StepOutcome(step.index, done=True)
        pending = await pending_request(connection, run.conversation_id)
    if pending is not None or not run.status.is_open:
        return StepOutcome(step.index, done=not run.status.is_open, pending=pending)
    first = await _first_open_run(database, run.conversation_id)
    if first is None:  # the agent was deleted
        return StepOutcome(step.index, done=True)
    return StepOutcome(step.index, first=turn_of(first.run, first.model))


async def _first_open_run(database: Database, conversation_id: str) -> RunOfAgent | None:
    """The run whose turn it is. One that cannot be read must not keep this one for ever.

    Raises:
        Unavailable: There was such a run, which is closed now: look again.
    """
    async with database.begin() as connection:  # its end and the event of it are one
        try:
            return await first_open_run(connection, conversation_id)
        except Unreadable as error:
            await close_unreadable_run(connection, error.row_id)
    raise Unavailable("The run before this one could not be read, and was closed.")


async def _system_message(
    database: Database, opened: OpenStep, *, is_new_turn: bool
) -> Message | None:
    """The head of the prompt: memory as it was when the turn began, as V1 shows it.

    Files that were opened since are shown at once: a tool has opened them to be read.
    """
    first, conversation = opened.first, opened.conversation
    key = prompt_key(opened.agent, opened.blocks, opened.directories)
    if first is None or key == conversation.prompt_key:
        return first
    if not is_new_turn and not shows_other_files(key, conversation.prompt_key):
        return first
    async with database.connect() as connection:
        directories = None
        if opened.directories is not None:
            directories, files = await read_directories(connection, opened.agent)
            key = prompt_key(opened.agent, opened.blocks, files)
        prompt = compile_prompt(
            opened.agent,
            conversation,
            opened.blocks,
            recall_count=conversation.next_position - 1,
            archival=await sum_up_archives(connection, opened.agent.id),
            directories=directories,
            now=datetime.now(UTC),
        )
        await rewrite_system_message(connection, conversation.id, prompt, key)
    return first.model_copy(update={"parts": [TextPart(text=prompt)]})
