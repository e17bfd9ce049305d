"""Statements about tags, which agents and blocks have as plain words."""

from sqlalchemy import Text, func, select, type_coerce, union
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.storage.pages import Page
from o.storage.tables.core import agents, blocks


async def list_tags(
    connection: AsyncConnection, actor: Actor, page: Page, *, held: str | None = None
) -> list[str]:
    """A page of all tags, each once, by their code points.

    Args:
        connection: Any.
        actor: Whose.
        page: Its cursors are tags, which need not be there any more.
        held: What a tag must hold, upper and lower case alike.
    """
    of_agents = select(func.unnest(agents.c.tags).label("tag")).where(
        agents.c.organization_id == actor.organization_id, agents.c.deleted_at.is_(None)
    )
    of_blocks = select(func.unnest(blocks.c.tags).label("tag")).where(
        blocks.c.organization_id == actor.organization_id
    )
    found = union(of_agents, of_blocks).subquery()
    # The order of the code points is the same in every database.
    tag = type_coerce(found.c.tag, Text).collate("C")
    statement = select(found.c.tag)
    if held:
        statement = statement.where(type_coerce(found.c.tag, Text).icontains(held, autoescape=True))
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            statement = statement.where(tag > cursor if forward else tag < cursor)
    in_order = statement.order_by(tag if page.ascending else tag.desc()).limit(page.limit)
    return list((await connection.execute(in_order)).scalars())
