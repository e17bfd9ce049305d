"""Variables that tools see: those of agents, and those of sandbox configurations."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.sealing import (
    UNREADABLE,
    digest_without,
    object_in,
    sealed,
    secret_in,
    secrets_here,
)
from server.letta_import.kinds.table_kind import NOT_HERE, TableKind, present, stamps
from server.letta_import.source import Row

_OF_CONFIGS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner, t.sandbox_config_id AS of_id,
        {digest_without("t", "value", "value_enc")} AS digest, lower(c.type::text) AS config_type
    FROM sandbox_environment_variables AS t
    LEFT JOIN sandbox_configs AS c ON c.id = t.sandbox_config_id AND NOT c.is_deleted
    ORDER BY t.id
"""
_OF_AGENTS = f"""
    SELECT t.id, t.key, t.value, t.value_enc, t.description, t.created_at, t.updated_at,
        t.is_deleted, t._created_by_id, t._last_updated_by_id, t.agent_id AS of_id,
        a.organization_id, {LIVE_OWNER.format("a")} AS has_owner,
        {digest_without("t", "value", "value_enc")} AS digest
    FROM agent_environment_variables AS t LEFT JOIN agents AS a ON a.id = t.agent_id
    ORDER BY t.id
"""
_CONFIGS = f"""
    SELECT t.*, lower(t.type::text) AS lower_type, {LIVE_OWNER.format("t")} AS has_owner,
        md5(t::text) AS digest
    FROM sandbox_configs AS t ORDER BY t.id
"""
_CONFIGS_HERE = """
    SELECT id, organization_id, type FROM sandbox_configs WHERE organization_id = ANY(%(owners)s)
"""
_COLUMNS = (
    *("id", "key", "value", "value_enc", "description", "created_at", "updated_at"),
    *("is_deleted", "_created_by_id", "_last_updated_by_id"),
)
SAME_TYPE = "the organization has one of its type here already, which takes its variables"
SAME_KEY = "a variable by its name is there already"
_TYPES = {"local", "e2b", "modal"}


class SandboxConfigs(TableKind):
    """Configurations of sandboxes, of which only the variables mean something here."""

    name = "sandbox_configs"
    table = "sandbox_configs"
    here_table = "sandbox_configs"
    content = ("type", "config")
    needs: ClassVar = {
        "sandbox_configs": (
            *("id", "type", "config", "created_at", "updated_at", "is_deleted"),
            *("_created_by_id", "_last_updated_by_id", "organization_id"),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each; an organization has one of each type."""
        for rows in context.source.batches(_CONFIGS):
            here = _configs_here(context, rows)
            for row in rows:
                other = here.get((row["organization_id"], row["lower_type"]), row["id"])
                if row["is_deleted"] or not row["has_owner"]:
                    yield LeftOut(self.table, FLAGGED if row["is_deleted"] else NO_OWNER)
                elif row["lower_type"] not in _TYPES:
                    yield LeftOut(self.table, "its type is not known here", id=row["id"])
                elif other != row["id"]:
                    yield LeftOut(self.table, SAME_TYPE)
                else:
                    here[row["organization_id"], row["lower_type"]] = row["id"]
                    kept = {
                        **{name: row[name] for name in ("id", "organization_id")},
                        "type": row["lower_type"],
                        "config": object_in(row["config"]),
                        **stamps(row),
                    }
                    yield Item(
                        row["id"],
                        row["organization_id"],
                        row["digest"],
                        {self.table: 1},
                        {"sandbox_configs": [kept]},
                    )


def _configs_here(context: Context, rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    owners = {"owners": [row["organization_id"] for row in rows]}
    return {
        (one["organization_id"], one["type"]): one["id"]
        for one in context.target.query(_CONFIGS_HERE, owners)
    }


class _Variables(TableKind):
    """Variables of one of the two; `of` is the column here that says whose."""

    here_table = "tool_variables"
    content = ("key", "value", "description")
    changed = ("value", "description", "updated_at", "last_updated_by_id")
    statement: ClassVar[str]
    of: ClassVar[str]

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with its value, if that can be read: one that cannot is not stored at all."""
        for rows in context.source.batches(self.statement):
            whose = self.owners(context, rows)
            keys = _keys_here(context, self.of, list(whose.values()))
            here = secrets_here(context, "tool_variables", ("value",), rows)
            for row in rows:
                of_id = whose.get(row["id"])
                if reason := _why_left(row, of_id, keys):
                    yield LeftOut(self.table, reason, id=self._named(row, reason))
                    continue
                secret = secret_in(context, row, "value")
                stored = here.get(row["id"], {}).get("value") if secret.trouble else None
                if secret.trouble and not stored:
                    yield LeftOut(self.table, UNREADABLE[secret.trouble], id=self._named(row, ""))
                    continue
                value = stored or sealed(context, secret.text or "", of=f"{row['id']}/value")
                yield self._item(row, str(of_id), value)

    def owners(self, context: Context, rows: Sequence[Row]) -> dict[str, str]:
        """By the id of a variable, whose it is here."""
        raise NotImplementedError

    def _named(self, row: Row, reason: str) -> str | None:
        return None if reason == FLAGGED else f"{row['key']} of {row['of_id']}"

    def _item(self, row: Row, of_id: str, value: str | None) -> Item:
        kept: dict[str, Any] = {
            **{name: row[name] for name in ("id", "organization_id", "key", "description")},
            self.of: of_id,
            "value": value,
            **stamps(row),
        }
        return Item(
            row["id"],
            row["organization_id"],
            row["digest"],
            {self.table: 1},
            {"tool_variables": [kept]},
        )


def _why_left(row: Row, of_id: str | None, keys: dict[tuple[str, str], str]) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    if of_id is None:
        return NOT_HERE
    return SAME_KEY if keys.get((of_id, row["key"]), row["id"]) != row["id"] else None


def _keys_here(context: Context, of: str, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    found = context.target.query(
        f"SELECT id, {of} AS of_id, key FROM tool_variables WHERE {of} = ANY(%(ids)s)",
        {"ids": list(ids)},
    )
    return {(one["of_id"], one["key"]): one["id"] for one in found}


class SandboxVariables(_Variables):
    """Variables that all tools of an organization see."""

    name = "sandbox_variables"
    table = "sandbox_environment_variables"
    statement = _OF_CONFIGS
    of = "sandbox_config_id"
    needs: ClassVar = {
        "sandbox_environment_variables": (*_COLUMNS, "organization_id", "sandbox_config_id"),
        "sandbox_configs": ("id", "type", "is_deleted"),
    }
    counted = ("sandbox_environment_variables",)

    def owners(self, context: Context, rows: Sequence[Row]) -> dict[str, str]:
        """The configuration of its type that is here."""
        here = _configs_here(context, rows)
        found = {}
        for row in rows:
            default = row["of_id"] if context.is_dry and row["config_type"] else None
            config = here.get((row["organization_id"], row["config_type"]), default)
            if config is not None:
                found[row["id"]] = config
        return found


class AgentVariables(_Variables):
    """Variables, which may be secret, that the tools of one agent see."""

    name = "agent_variables"
    table = "agent_environment_variables"
    statement = _OF_AGENTS
    of = "agent_id"
    needs: ClassVar = {
        "agent_environment_variables": (*_COLUMNS, "agent_id"),
        "agents": ("id", "organization_id"),
    }
    counted = ("agent_environment_variables",)

    def owners(self, context: Context, rows: Sequence[Row]) -> dict[str, str]:
        """Its agent, if that is here."""
        here = present(context, "agents", [row["of_id"] for row in rows if row["organization_id"]])
        return {row["id"]: row["of_id"] for row in rows if row["of_id"] in here}
