"""Replies that were paid for and are not used: what they cost is counted all the same."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from activities.step.begin import StepToTake
from o.domain.runs import Usage
from o.storage.database import Database
from o.storage.usage import add_lost_usage

_log = logging.getLogger(__name__)


async def count_lost(database: Database, step: StepToTake, usage: Usage) -> None:
    """Count what a reply cost for the agent and the organization; its run is not charged.

    The step goes on as it would where the database does not take it.
    """
    if not usage.total_tokens and not usage.cost_nano:
        return
    try:
        async with database.connect() as connection:
            await add_lost_usage(
                connection,
                step.run.organization_id,
                step.agent.id,
                step.request.handle,
                usage,
            )
    except SQLAlchemyError as error:
        _log.warning("lost usage is not counted", extra={"error": type(error).__name__})
