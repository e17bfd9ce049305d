"""Which model a step asks: the agent's, or one that it turns to while that one does not answer."""

from dataclasses import dataclass

from activities.errors import model_failure
from o.domain.agents import Agent
from o.domain.fallbacks import models_in_turn, next_place, provider_of, settings_for
from o.domain.rests import ProviderRest
from o.errors import ModelError, ProviderRests
from o.storage.database import Database
from o.storage.provider_rests import take_probe
from o.storage.turn.opening import OpenStep, uncount_attempt
from o.storage.turn.steps import turn_to
from workflows.contract import StepRef
from workflows.options import REST_PATIENCE_S


@dataclass(frozen=True)
class Choice:
    """The model that a step asks.

    Attributes:
        models: The agent's model and those that it falls back to.
        place: Which of them.
        resting: Providers that are left alone now.
        is_noted: Whether failures of its provider are noted, which a success ends.
        is_probe: Whether the call finds out if its provider answers again.
    """

    models: list[str]
    place: int
    resting: list[str]
    is_noted: bool
    is_probe: bool = False

    @property
    def handle(self) -> str:
        """The model's handle."""
        return self.models[self.place]

    def agent_of(self, agent: Agent) -> Agent:
        """The agent as it calls this model: with what fits it of its settings."""
        settings = settings_for(agent.model_settings, self.place)
        return agent.model_copy(update={"model_settings": settings})


async def choose_model(
    database: Database, opened: OpenStep, step: StepRef, step_id: str, attempt: int
) -> Choice:
    """Choose, and take back the attempt where none is asked.

    Raises:
        ApplicationError: The workflow is to turn to another model, which it then shows.
        ProviderRests: The provider is left alone now, and there is no other model.
        ModelError: The step has waited for it as long as it may.
    """
    models = models_in_turn(
        opened.run.options.override_model or opened.agent.model, opened.agent.model_settings
    )
    place = min(opened.fallback, len(models) - 1)  # the agent may have been changed meanwhile
    if place > step.fallback:
        async with database.connect() as connection:
            await uncount_attempt(connection, step_id, attempt)
        raise model_failure("llm_error", 500, place, models[place])
    rests = {rest.provider: rest for rest in opened.rests}
    resting = [name for name, rest in rests.items() if (rest.wait_s or 0) > 0]
    rest = rests.get(provider_of(models[place]))
    if rest is None or rest.wait_s is None:
        return Choice(models, place, resting, is_noted=rest is not None)
    if rest.wait_s <= 0 and await _tries_it(database, opened, rest):
        return Choice(models, place, resting, is_noted=True, is_probe=True)
    other = next_place(models, place, resting)
    async with database.connect() as connection:
        await uncount_attempt(connection, step_id, attempt)
        if other is not None:
            await turn_to(connection, step_id, other, models[other])
    if other is not None:
        raise model_failure(rest.error_type, rest.error_status, other, models[other])
    if opened.age_s > REST_PATIENCE_S:
        raise ModelError(
            rest.error_type,
            f"The provider {rest.provider} does not answer, and is left alone.",
            status=rest.error_status,
        )
    raise ProviderRests(rest.provider, rest.wait_s)


async def _tries_it(database: Database, opened: OpenStep, rest: ProviderRest) -> bool:
    async with database.connect() as connection:
        return await take_probe(connection, opened.run.organization_id, rest.provider)
