"""Variables that tools see. Their values are encrypted; they are decrypted for a call or an answer.

The environment of a call is made of those of the organization's sandbox configurations, then of
those of the agent, which win.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.tool_variables import ToolVariable
from o.errors import Conflict, NotFound
from o.ids import new_id
from o.secrets import Keyring, SecretUnreadable
from o.storage.database import Database
from o.storage.organizations.audit import put_on_record
from o.storage.pages import Page, page_by_time
from o.storage.rows import all_models_of, columns_of, model_of, row_of
from o.storage.tables.tools import sandbox_configs, tool_variables
from o.tools.invocation import Invocation

_log = logging.getLogger(__name__)
_COLUMNS = columns_of(tool_variables, ToolVariable)

SEEN_VARIABLES = """(
    SELECT coalesce(
        json_agg(to_json(tool_variables) ORDER BY tool_variables.agent_id IS NOT NULL,
            sandbox_configs.type = 'local', tool_variables.created_at), '[]')
    FROM tool_variables
    LEFT JOIN sandbox_configs ON sandbox_configs.id = tool_variables.sandbox_config_id
    WHERE tool_variables.organization_id = agents.organization_id
      AND (tool_variables.sandbox_config_id IS NOT NULL OR tool_variables.agent_id = agents.id)
)"""
"""In SQL, as JSON, what a tool sees that a row `agents` calls, as it is stored; see `of_call`."""


class Variables:
    """The variables of tools, with the keys that they are encrypted with."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def of_call(
        self, connection: AsyncConnection, organization_id: str, agent_id: str | None
    ) -> dict[str, str]:
        """What a tool sees when this agent calls it, or nobody in particular.

        One that cannot be decrypted is left out, with a line in the log.
        """
        mine = tool_variables.c.agent_id == agent_id
        shared = tool_variables.c.sandbox_config_id.is_not(None)
        rows = await connection.execute(
            select(*_COLUMNS)
            .outerjoin(sandbox_configs, sandbox_configs.c.id == tool_variables.c.sandbox_config_id)
            .where(
                tool_variables.c.organization_id == organization_id,
                or_(shared, mine) if agent_id else shared,
            )
            .order_by(
                tool_variables.c.agent_id.is_not(None),
                sandbox_configs.c.type == "local",
                tool_variables.c.created_at,
            )
        )
        found = self.opened(all_models_of(ToolVariable, rows.mappings().all()))
        return {one.key: one.value for one in found}

    async def of_invocation(self, database: Database, call: Invocation) -> dict[str, str]:
        """What the tool of a call sees; read now where it did not come with the call."""
        if call.variables is not None:
            return {one.key: one.value for one in self.opened(call.variables)}
        async with database.connect() as connection:
            return await self.of_call(
                connection, call.organization_id, call.agent.id if call.agent else None
            )

    def opened(self, stored: Iterable[ToolVariable]) -> list[ToolVariable]:
        """Variables with their values; without those that cannot be decrypted here."""
        found = []
        for one in stored:
            try:
                value = self._keyring.decrypt(one.value, of=f"{one.id}/value")
            except SecretUnreadable as error:
                facts = {"id": one.id, "reason": str(error)}
                _log.warning("variable of tools cannot be read", extra=facts)
                continue
            found.append(one.model_copy(update={"value": value}))
        return found

    async def of_agents(
        self, connection: AsyncConnection, agent_ids: Sequence[str]
    ) -> dict[str, list[ToolVariable]]:
        """The variables of agents, with their values, by agent and in the order of their keys."""
        rows = await connection.execute(
            select(*_COLUMNS)
            .where(tool_variables.c.agent_id.in_(agent_ids))
            .order_by(tool_variables.c.key)
        )
        found: dict[str, list[ToolVariable]] = {}
        for one in self.opened(all_models_of(ToolVariable, rows.mappings().all())):
            found.setdefault(str(one.agent_id), []).append(one)
        return found

    async def set_of_agent(
        self, connection: AsyncConnection, actor: Actor, agent_id: str, values: Mapping[str, str]
    ) -> None:
        """Give an agent these variables and no others; those that stay keep their ids.

        The caller has the agent's lock, or is just making the agent.
        """
        await connection.execute(
            delete(tool_variables).where(
                tool_variables.c.agent_id == agent_id, tool_variables.c.key.not_in(list(values))
            )
        )
        rows = await connection.execute(
            select(tool_variables.c.key, tool_variables.c.id).where(
                tool_variables.c.agent_id == agent_id
            )
        )
        ids = {row.key: row.id for row in rows}
        await put_on_record(connection, actor, "set_secrets_of_agent", agent_id)
        for key, value in values.items():
            id_ = ids.get(key) or new_id("agent-env")
            row = row_of(tool_variables, self._new(actor, id_, key, value, agent_id=agent_id))
            new = insert(tool_variables).values(row)
            await connection.execute(
                new.on_conflict_do_update(
                    index_elements=["id"],
                    set_={
                        name: new.excluded[name]
                        for name in ("value", "updated_at", "last_updated_by_id")
                    },
                )
            )

    async def add_to_config(
        self,
        connection: AsyncConnection,
        actor: Actor,
        config_id: str,
        key: str,
        value: str,
        description: str | None,
    ) -> ToolVariable:
        """Add a variable to a sandbox configuration; returns it with its value.

        Raises:
            Conflict: It has one of that key. The transaction is lost.
        """
        new = self._new(
            actor,
            new_id("sandbox-env"),
            key,
            value,
            sandbox_config_id=config_id,
            description=description,
        )
        try:
            await connection.execute(insert(tool_variables).values(row_of(tool_variables, new)))
        except IntegrityError:
            raise _taken(key) from None
        return new.model_copy(update={"value": value})

    async def change(
        self,
        connection: AsyncConnection,
        actor: Actor,
        variable_id: str,
        changes: Mapping[str, Any],
    ) -> ToolVariable:
        """Change a variable of a sandbox configuration; returns it with its value.

        Raises:
            NotFound: There is none for this actor.
            Conflict: Its new key is taken. The transaction is lost.
        """
        stored = dict(changes)
        if "value" in stored:
            stored["value"] = self._keyring.encrypt(stored["value"], of=f"{variable_id}/value")
        statement = (
            update(tool_variables)
            .where(
                tool_variables.c.id == variable_id,
                tool_variables.c.organization_id == actor.organization_id,
                tool_variables.c.sandbox_config_id.is_not(None),
            )
            .values(**stored, updated_at=func.now(), last_updated_by_id=actor.user_id)
            .returning(*_COLUMNS)
        )
        try:
            row = (await connection.execute(statement)).mappings().one_or_none()
        except IntegrityError:
            raise _taken(str(changes.get("key"))) from None
        if row is None:
            raise _not_found(variable_id)
        found = model_of(ToolVariable, row)
        return next(iter(self.opened([found])), found.model_copy(update={"value": ""}))

    async def list_of_config(
        self, connection: AsyncConnection, actor: Actor, config_id: str, page: Page
    ) -> list[ToolVariable]:
        """A page of the variables of a sandbox configuration, with their values.

        It is full while there are more, whatever cannot be decrypted: who pages stops at one that
        is not.
        """
        found: list[ToolVariable] = []
        while len(found) < page.limit:
            stored = await self._stored_of_config(connection, actor, config_id, page)
            found += self.opened(stored)
            if len(stored) < page.limit:
                break
            page = replace(page, after=stored[-1].id)
        return found[: page.limit]

    async def _stored_of_config(
        self, connection: AsyncConnection, actor: Actor, config_id: str, page: Page
    ) -> list[ToolVariable]:
        mine = tool_variables.c.organization_id == actor.organization_id
        statement = await page_by_time(
            connection,
            select(*_COLUMNS).where(mine, tool_variables.c.sandbox_config_id == config_id),
            page,
            tool_variables,
            actor,
        )
        return all_models_of(ToolVariable, (await connection.execute(statement)).mappings())

    def _new(self, actor: Actor, id_: str, key: str, value: str, **of: str | None) -> ToolVariable:
        now = datetime.now(UTC)
        return ToolVariable(
            id=id_,
            organization_id=actor.organization_id,
            key=key,
            value=self._keyring.encrypt(value, of=f"{id_}/value"),
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
            **of,
        )


async def delete_variable(connection: AsyncConnection, actor: Actor, variable_id: str) -> None:
    """Delete a variable of a sandbox configuration.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(tool_variables).where(
            tool_variables.c.id == variable_id,
            tool_variables.c.organization_id == actor.organization_id,
            tool_variables.c.sandbox_config_id.is_not(None),
        )
    )
    if gone.rowcount == 0:
        raise _not_found(variable_id)


def _taken(key: str) -> Conflict:
    return Conflict(f"The sandbox configuration has a variable {key!r} already")


def _not_found(variable_id: str) -> NotFound:
    return NotFound(f"Sandbox environment variable with id {variable_id} not found")
