"""Replies that were paid for and are not used: what they cost is counted all the same."""

from activities.counting import count_usage
from activities.step.begin import StepToTake
from o.domain.runs import Usage
from o.storage.database import Database


async def count_lost(database: Database, step: StepToTake, usage: Usage) -> None:
    """Count what a reply cost for the agent and the organization; its run is not charged.

    An empty reply that cost nothing is none.
    """
    if not usage.total_tokens and not usage.cost_nano:
        return
    await count_usage(database, step.run.organization_id, step.agent.id, step.request.handle, usage)
