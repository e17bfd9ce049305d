"""Counts what model calls cost that no step tells of."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from o.domain.runs import Usage
from o.storage.database import Database
from o.storage.usage import add_lost_usage

_log = logging.getLogger(__name__)


async def count_usage(
    database: Database, organization_id: str, agent_id: str, handle: str, usage: Usage
) -> None:
    """Count a reply for its organization, once a reply.

    Whoever asked goes on as they would where the database does not take it.

    Args:
        database: Where sums are kept.
        organization_id: Whose money it was.
        agent_id: For which agent; empty where it was for none.
        handle: The model.
        usage: What the reply took; a call counts also where the provider tells nothing of that.
    """
    try:
        async with database.connect() as connection:
            await add_lost_usage(connection, organization_id, agent_id, handle, usage)
    except SQLAlchemyError as error:
        _log.warning("usage is not counted", extra={"error": type(error).__name__})
